"""Checkpoints on the disk. PyTorch writes checksums into them, and does not compare them."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import torch

from drrpack.formats.files.archives import DAMAGED


class DamagedCheckpointError(ValueError):
    """A checkpoint is not what was saved; the text says how that was found."""


def save_checkpoint(state: object, file: IO[bytes]) -> None:
    """Write ``state``, with checksums whatever the program has asked PyTorch for."""
    kept = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        torch.save(state, file)
    finally:
        torch.serialization.set_crc32_options(kept)


def load_checkpoint(path: Path) -> Any:
    """What `save_checkpoint` wrote, on the CPU; raises DamagedCheckpointError."""
    try:
        with ZipFile(path) as archive:
            wrong = archive.testzip()
    except DAMAGED as error:
        raise DamagedCheckpointError("it is not a whole file") from error
    if wrong is not None:
        raise DamagedCheckpointError(f"the checksum of {wrong} in it is wrong")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # half a dozen types, whose texts invite to load without checks
        raise DamagedCheckpointError(f"PyTorch reads none in it, {type(error).__name__}") from error
