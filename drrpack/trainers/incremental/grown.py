"""A memory that grows with the phases: each phase keeps a file of the classes seen so far."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import torch

from drrpack.formats.container import Reader
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.opening import Given
from drrpack.trainers.incremental.memory_data import MemoryData


class GrownMemory(MemoryData):
    """As `MemoryData`, but what is replayed and kept comes from a file for each phase.

    Until `adopt` has brought these files, everything comes from ``memory``. The arguments are those
    of `MemoryData`, and ``growth`` names what decides the files: it is part of the fingerprint.
    """

    def __init__(
        self,
        memory: AnyPath,
        *,
        growth: str,
        numbers: Sequence[int] | None = None,
        test: Given | None = None,
        source: Given | None = None,
        trusted: bool = False,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(
            memory, numbers=numbers, test=test, source=source, trusted=trusted, device=device
        )
        self._growth = growth
        self._account: dict[str, int] | None = None

    @property
    def fingerprint(self) -> str:
        """Of the file, the classes in use, the test images and the growth."""
        return sha256(f"{super().fingerprint}\0{self._growth}".encode()).hexdigest()

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
        view._decoded, view._rankings = first._decoded, first._rankings
    first._decoded.clear()
    first._rankings.clear()
