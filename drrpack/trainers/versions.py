"""The versions of the software that a result came from."""

from __future__ import annotations

import platform
from importlib import metadata

import numpy as np
import torch


def versions() -> dict[str, str]:
    """The versions of the software that affects a result."""
    try:
        drrpack = metadata.version("drrpack")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        drrpack = "not installed"
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "drrpack": drrpack,
    }
