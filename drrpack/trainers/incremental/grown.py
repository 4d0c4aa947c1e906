"""A memory that grows with the phases: each phase keeps a file of the classes seen so far."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import torch

from drrpack.formats.container import Reader
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.opening import Given, Opening
from drrpack.trainers.incremental.memory_data import MemoryData


class GrownMemory(MemoryData):
    """As `MemoryData`, but what is replayed and kept comes from a file for each phase.

    Until `keep` has brought these files, everything comes from the file that it was opened with.

    Args:
        growth: names what decides the files of the phases.
        others: as for `MemoryData`.
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
        how: Opening | None = None,
    ) -> None:
        super().__init__(
            memory, numbers=numbers, test=test, source=source, trusted=trusted, device=device,
            how=how,
        )  # fmt: skip
        self._growth = growth
        self._seen: tuple[int, ...] = ()
        self._accounts: dict[tuple[int, ...], dict[str, int]] = {}  # one dict for all phases

    @property
    def fingerprint(self) -> str:
        """Of the file, the classes in use, the test images and the growth."""
        return sha256(f"{super().fingerprint}\0{self._growth}".encode()).hexdigest()

    @property
    def memory_bytes(self) -> dict[str, int]:
        """The file of the phase by parts."""
        found = self._accounts.get(self._seen)
        return super().memory_bytes if found is None else dict(found)

    def after(self, seen: Sequence[int]) -> GrownMemory:
        """The data of the phase after which the classes ``seen`` are known."""
        data = copy.copy(self)
        data._seen = tuple(seen)
        return data

    def keep(self, files: Mapping[tuple[int, ...], Path]) -> None:
        """Let each phase keep a file, found by the classes seen, and all replay from the last one.

        This is so for the data of all phases, whichever it is said to. Codes of a class do not
        change after it was added, so the last file has all of them.
        """
        for seen, path in files.items():
            with Reader(path) as reader:
                account = reader.byte_account()
            del account["file"]
            self._accounts[seen] = account
        last = DRRDataset(
            files[max(files, key=len)], classes=list(self.classes), device=self.device,
            cache_bytes=0, codes_bytes=None,
        )  # fmt: skip
        self._images.replace(last)
