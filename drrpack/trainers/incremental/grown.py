"""A memory that grows with the phases: each phase keeps a file of the classes seen so far."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from drrpack.formats.container import Reader
from drrpack.formats.dataset import DRRDataset
from drrpack.trainers.incremental.memory_data import MemoryData


class GrownMemory(MemoryData):
    """As `MemoryData`, but what is replayed and kept comes from a file for each phase.

    Until `adopt` has brought these files, everything comes from the file that it was opened with.
    """

    growth = ""  # names what decides the files of the phases
    _account: dict[str, int] | None = None

    @property
    def fingerprint(self) -> str:
        """Of the file, the classes in use, the test images and the growth."""
        return sha256(f"{super().fingerprint}\0{self.growth}".encode()).hexdigest()

    @property
    def memory_bytes(self) -> dict[str, int]:
        """The file of the phase by parts."""
        return super().memory_bytes if self._account is None else dict(self._account)

    def after(self, seen: Sequence[int]) -> GrownMemory:
        """An object of its own for the phase after which the classes ``seen`` are known."""
        return copy.copy(self)


def adopt(views: Sequence[GrownMemory], files: Sequence[Path]) -> None:
    """Let the data of each phase keep the phase's file, and all of them replay from the last one.

    Codes of a class do not change after it was added, so the last file has all of them.
    """
    first = views[0]
    grown = DRRDataset(files[-1], classes=list(first.classes), device=first.device, cache_bytes=0)
    for view, path in zip(views, files, strict=True):
        with Reader(path) as reader:
            account = reader.byte_account()
        del account["file"]
        view._account, view._dataset = account, grown
        view._decoded, view._rankings, view._where = first._decoded, first._rankings, {}
    first._decoded.clear()
    first._rankings.clear()
