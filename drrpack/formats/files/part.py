"""A part of a file that has a checksum: what is read and checked as one piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from drrpack.core.errors import CorruptError
from drrpack.formats.layout import AnyPath, damaged


@dataclass(frozen=True)
class Part:
    """Some bytes of a file with the checksum that the file has for them.

    Attributes:
        what: the part in words, for errors.
        ranges: (offset, size) of its pieces in the file.
        kind: of the checksum, "CRC" or "sha256".
        expected: the checksum in hexadecimal.
        checksum: of pieces that were read, in hexadecimal.
        content: says in any copy of the file which bytes these are.
    """

    what: str
    ranges: tuple[tuple[int, int], ...]
    kind: str
    expected: str
    checksum: Callable[[Sequence[bytes]], str]
    content: str

    @property
    def names_its_bytes(self) -> bool:
        """Whether no other bytes have the checksum, whoever made them: a CRC can be forged."""
        return self.kind == "sha256"

    def key(self, file: tuple[object, ...]) -> str:
        """64 hexadecimal digits that belong to these bytes alone.

        They are the same in every file where the checksum names its bytes, and otherwise in the one
        that ``file`` identifies.
        """
        words = f"{self.content}\n{self.kind} {self.expected}"
        if not self.names_its_bytes:
            words += f"\n{file!r}"
        return sha256(words.encode()).hexdigest()

    @property
    def size(self) -> int:
        return sum(size for _, size in self.ranges)

    def intact(self, pieces: Sequence[bytes]) -> bool:
        """Whether the bytes are those that were written."""
        return self.checksum(pieces) == self.expected

    def damage(self, path: AnyPath, checksum: str) -> CorruptError:
        """The error for bytes with another checksum."""
        found = f"{self.kind} {_short(checksum)} for {self.what}"
        return damaged(path, found, _short(self.expected))


def _short(digest: str) -> str:
    return digest if len(digest) <= 12 else f"{digest[:12]}..."
