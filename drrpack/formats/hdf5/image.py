"""The bytes of a file that is yet to be written: a small part in memory, large data where it is."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import IO

from drrpack.formats.layout import SEAL_BYTES, Data

_PAGE = 1 << 12
_BLOCK = 1 << 20  # written at once


class Sparse(io.RawIOBase):
    """A file in memory that keeps only what is written to it; elsewhere it reads as zeros."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._place = self.size = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = start + offset
        return self._place

    def truncate(self, size: int | None = None) -> int:
        self.size = min(self.size, self._place if size is None else size)
        return self.size

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.part(self._place, min(self._place + len(buffer), self.size))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        content, place = memoryview(data).cast("B"), self._place
        for at, inside, count in _pages(place, place + len(content)):
            page = self._pages.setdefault(at, bytearray(_PAGE))
            page[inside : inside + count] = content[:count]
            content = content[count:]
            self._place += count
        self.size = max(self.size, self._place)
        return self._place - place

    def part(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` to before ``end``."""
        blank = bytes(_PAGE)
        parts = [self._pages.get(at, blank)[i : i + count] for at, i, count in _pages(start, end)]
        return b"".join(parts)


def _pages(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """For each page of a range its number, where the range begins in it, and how much it holds."""
    while start < end:
        number, inside = divmod(start, _PAGE)
        count = min(_PAGE - inside, end - start)
        yield number, inside, count
        start += count


@dataclass(frozen=True)
class Large:
    """Data at an offset of a file, the items one after the other."""

    offset: int
    items: Sequence[Data]

    @property
    def end(self) -> int:
        return self.offset + sum(map(len, self.items))


@dataclass(frozen=True)
class Image:
    """A whole file of ``length`` bytes: ``small`` with ``large`` data in its holes.

    ``seal`` is the place of the digest of all other bytes, which `write` fills in.
    """

    small: Sparse
    large: Sequence[Large]
    seal: int

    @property
    def length(self) -> int:
        return max(self.small.size, *(data.end for data in self.large), 0)

    def write(self, file: IO[bytes]) -> None:
        """Write it to a new file, from its start."""
        digest = sha256()
        for block in self._before(self.seal):
            file.write(block)
            digest.update(block)
        file.write(bytes(SEAL_BYTES))
        for block in self._before(self.length, self.seal + SEAL_BYTES):
            file.write(block)
            digest.update(block)
        file.seek(self.seal)
        file.write(digest.digest())

    def _before(self, end: int, start: int = 0) -> Iterator[bytes]:
        """The bytes from ``start`` to ``end``; no large data lies across the two."""
        for data in sorted(self.large, key=lambda data: data.offset):
            if start <= data.offset < end:
                yield from self._small(start, data.offset)
                yield from map(bytes, data.items)
                start = data.end
        yield from self._small(start, end)

    def _small(self, start: int, end: int) -> Iterator[bytes]:
        for place in range(start, end, _BLOCK):
            yield self.small.part(place, min(place + _BLOCK, end))
