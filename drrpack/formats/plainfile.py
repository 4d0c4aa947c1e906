"""A ``.drr`` file under plain I/O: positioned reads, and the checks that come before libhdf5."""

from __future__ import annotations

import contextlib
import os
import stat
import struct

from drrpack.errors import FormatError
from drrpack.formats.layout import AnyPath, damaged, malformed

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# signature, version, bytes of an offset, bytes of a length, consistency flags, base address,
# address of the extension, end of file, address of the root group, checksum
SUPERBLOCK = struct.Struct("<8sBBBBQQQQI")
SUPERBLOCK_VERSION = 3  # the one that libver v110 writes; its checksum is libhdf5's to check
_NO_EXTENSION = 0xFFFFFFFFFFFFFFFF


class PlainFile:
    """A regular file open for positioned reads in one process; it closes with its last reference.

    Attributes:
        pid: of the process that opened it.
        identity: device, inode, size and time of change, by which a replaced file is noticed.

    Raises:
        FormatError: the file is missing, can't be read, or is no regular file.
    """

    def __init__(self, path: AnyPath) -> None:
        self.path, self.pid, self.fd = path, os.getpid(), -1
        try:
            # without O_NONBLOCK, opening a named pipe waits for a writer
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise FormatError(f"{path}: there is no such file; check the path") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FormatError(f"{path}: can't be opened for reading: {reason}") from error
        info = os.fstat(self.fd)
        if not stat.S_ISREG(info.st_mode):
            self.close()
            raise FormatError(f"{path}: found a folder or device; give the path of a .drr file")
        self.size = info.st_size
        self.identity = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``, whatever other processes and threads read meanwhile."""
        parts, missing = [], size
        while missing:
            try:  # one call gives 2 GiB at most
                part = os.pread(self.fd, missing, offset + size - missing)
            except OSError as error:
                raise damaged(self.path, f"a read error ({error})", f"{size} bytes") from error
            if not part:
                found = f"the file's end {missing} bytes early"
                raise damaged(self.path, found, f"{size} bytes at byte {offset}")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts) if len(parts) != 1 else parts[0]

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

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be shutting down
            self.close()
