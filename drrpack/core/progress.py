"""The events that any long operation reports while it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A stage of the work that is counted: ``done`` of ``total``, which are mostly images."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Notice:
    """A sentence that the user should read, as a ``warning`` where something may be wrong."""

    text: str
    warning: bool = True
