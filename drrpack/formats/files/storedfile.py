"""The file interface of the reader: positioned reads, and the checks before libhdf5 sees a file."""

from __future__ import annotations

import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from drrpack.formats.files.part import Part
from drrpack.formats.layout import AnyPath, damaged, malformed

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# signature, version, bytes of an offset, bytes of a length, consistency flags, base address,
# address of the extension, end of file, address of the root group, checksum
SUPERBLOCK = struct.Struct("<8sBBBBQQQQI")
SUPERBLOCK_VERSION = 3  # the one that libver v110 writes; its checksum is libhdf5's to check
_NO_EXTENSION = 0xFFFFFFFFFFFFFFFF


class StoredFile(ABC):
    """A file open for positioned reads.

    Attributes:
        pid: of the process that reads from it.
        identity: by which a replaced file is noticed. size: in bytes, when it was opened.
    """

    identity: tuple[object, ...]
    size: int

    def __init__(self, path: AnyPath) -> None:
        self.path, self.pid = path, os.getpid()

    def is_ours(self) -> bool:
        """Whether this process may read from it: the one that opened it."""
        return self.pid == os.getpid()

    @abstractmethod
    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``; raises ReadError, and CorruptError where they end."""

    def read_parts(self, parts: Sequence[Part]) -> Iterable[list[bytes]]:
        """The pieces of each part, whether they are intact or not; raises as `read` does.

        A file on a disk reads a part when its turn comes, one at an address fetches all together.
        """
        return ([self.read(offset, size) for offset, size in part.ranges] for part in parts)

    def read_anew(self) -> None:  # noqa: B027
        """From now on read all that is asked for, and take nothing of it that was kept before."""

    @abstractmethod
    def length(self) -> int:
        """How long the file is now."""

    @abstractmethod
    def stream(self) -> BinaryIO:
        """The file as libhdf5 wants it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; a second call does nothing."""

    def check_superblock(self) -> None:
        """The signature and the recorded end of the file, before libhdf5 sees any of it."""
        head = self.read(0, min(self.size, SUPERBLOCK.size))
        if head[: len(SIGNATURE)] != SIGNATURE:
            found = "no HDF5 signature" if head else "an empty file"
            raise malformed(self.path, f"{found} at the start", "an HDF5 file")
        if len(head) < SUPERBLOCK.size:
            raise damaged(self.path, f"{self.size} bytes", "at least a whole HDF5 superblock")
        _, version, offsets, lengths, flags, base, extension, end, _, _ = SUPERBLOCK.unpack(head)
        if (version, offsets, lengths) != (SUPERBLOCK_VERSION, 8, 8):
            found = f"HDF5 superblock version {version} with {offsets}-byte offsets"
            raise malformed(self.path, found, f"version {SUPERBLOCK_VERSION}, 8-byte offsets")
        if end != self.size:
            raise damaged(self.path, f"a file of {self.size} bytes", f"{end} bytes")
        if flags or base or extension != _NO_EXTENSION:
            found = f"superblock flags {flags}, base address {base} or a superblock extension"
            raise malformed(self.path, found, "flags 0, base address 0 and no extension")
