"""Names for temporary files and folders beside a file."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

CHECKPOINTS, PARTS = ".fit", ".parts"  # endings of folders that an interrupted command leaves
_NAME_BYTES = 143  # eCryptFS has the shortest names; most file systems take 255 bytes


def beside(path: Path, ending: str) -> Path:
    """A hidden name beside ``path``: its own name and ``ending``, cut to the allowed length."""
    name = path.name
    if len(os.fsencode(f".{name}{ending}")) > _NAME_BYTES:
        name = sha256(os.fsencode(name)).hexdigest()[:32]
    return path.with_name(f".{name}{ending}")
