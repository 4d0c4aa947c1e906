"""Tell an address from a path, without importing the modules that open them."""

from __future__ import annotations

import re


def is_address(place: object) -> bool:
    """Whether ``place`` is an address such as ``https://host/mem.drr``; a path object never is."""
    return isinstance(place, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None
