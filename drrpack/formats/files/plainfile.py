"""A ``.drr`` file on a disk, by positioned reads."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from drrpack.core.errors import MissingError, ReadError
from drrpack.formats.files.own import is_run
from drrpack.formats.files.storedfile import StoredFile
from drrpack.formats.layout import AnyPath, damaged


class PlainFile(StoredFile):
    """A regular file open for positioned reads; it closes with its last reference.

    Its identity is device, inode, size and time of change.

    Raises:
        MissingError: there is no such file, or no regular one. ReadError: it can't be opened.
    """

    def __init__(self, path: AnyPath) -> None:
        super().__init__(path)
        self.fd = -1
        try:
            # without O_NONBLOCK, opening a named pipe waits for a writer
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise MissingError(f"{path}: there is no such file; check the path") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ReadError(f"{path}: can't be opened for reading: {reason}") from error
        info = os.fstat(self.fd)
        if not stat.S_ISREG(info.st_mode):
            self.close()
            what, fix = "a device", ""
            if stat.S_ISDIR(info.st_mode):
                what = "a folder"
                fix = f"; `drrpack encode {path} -o mem.drr` makes one of a folder of images"
                if is_run(Path(path)):
                    what = "the folder of a training"
                    fix = f"; `drrpack report {path}` shows its results, or how to finish it"
            raise MissingError(
                f"{path}: found {what}, expected a .drr file: give the path of one{fix}"
            )
        self.size, self.identity = info.st_size, _identity(info)

    def is_ours(self) -> bool:
        """Also where a process was forked: it has the descriptor, and reads move no position."""
        if not super().is_ours():
            if self._leads_here():
                self.pid = os.getpid()
            else:
                self.fd = -1  # never to be closed: by now the number may be another file's
        return super().is_ours()

    def _leads_here(self) -> bool:
        with suppress(OSError):  # a program may close what it inherits
            return _identity(os.fstat(self.fd)) == self.identity
        return False

    def read(self, offset: int, size: int) -> bytes:
        parts, missing = [], size
        while missing:
            try:  # one call gives 2 GiB at most
                part = os.pread(self.fd, missing, offset + size - missing)
            except OSError as error:
                reason = f"{error.strerror}; check the disk or the connection"
                raise ReadError(f"{self.path}: can't be read: {reason}") from error
            if not part:
                found = f"the file's end {missing} bytes early"
                raise damaged(self.path, found, f"{size} bytes at byte {offset}")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts) if len(parts) != 1 else parts[0]

    def length(self) -> int:
        return os.fstat(self.fd).st_size

    def stream(self) -> BinaryIO:
        # on the same descriptor, so that both see the same file even if it is replaced now
        return open(self.fd, "rb", buffering=0, closefd=False)

    def close(self) -> None:
        if self.fd >= 0 and self.is_ours():
            os.close(self.fd)
        self.fd = -1

    def __del__(self) -> None:
        try:  # noqa: SIM105  # while the interpreter shuts down, contextlib may be gone as well
            self.close()
        except Exception:
            pass


def _identity(info: os.stat_result) -> tuple[int, ...]:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns
