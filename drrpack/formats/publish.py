"""Putting a finished file in its place: all of it or nothing, whatever happens on the way."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from drrpack.errors import DrrError, OutputError
from drrpack.formats.layout import AnyPath

_SPARE_BYTES = 1 << 16  # for the folder entry and the file system's own blocks
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another place",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "you may not write to that folder; change its permissions or choose another",
    errno.EPERM: "you may not write to that folder; change its permissions or choose another",
}


def check_output(path: AnyPath, *, overwrite: bool = False, need_bytes: int = 0) -> None:
    """Find out before the work is done whether its result can be written to ``path``.

    Raises:
        OutputError: it exists already, is no regular file, or its folder is missing, may not be
            written to, or has not ``need_bytes`` of free space.
    """
    try:
        target = Path(os.path.realpath(path))
        _check_target(path, target, overwrite)
        if need_bytes:
            _check_space(path, target.parent, need_bytes)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise OutputError(f"{path}: can't be written: {_reason(error)}") from error


def _check_target(path: AnyPath, target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise OutputError(f"{path}: is a folder; give the path of a file, such as {path}/mem.drr")
    if target.exists() and not target.is_file():
        raise OutputError(f"{path}: is a device or pipe; give the path of a file")
    if target.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; say --force to overwrite it")
    if not target.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {target.parent}; create it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: {_REASONS[errno.EACCES]}")


def _check_space(path: AnyPath, folder: Path, need_bytes: int) -> None:
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < need_bytes + _SPARE_BYTES:
        raise OutputError(
            f"{path}: {need_bytes} bytes are needed and {free_bytes} are free; "
            "free some space or choose another place"
        )


def publish(
    path: AnyPath, image: bytes, check: Callable[[Path], None], *, overwrite: bool = False
) -> None:
    """Make ``image`` the file at ``path``, after ``check`` has read it back from the disk.

    Readers see the old file or the new one and nothing in between, also after a power cut. Only a
    process that is killed outright leaves something: a hidden file ``.drr-*.tmp``.

    Raises:
        OutputError: it can't be written; nothing is left behind then, and an old file stays.
    """
    check_output(path, overwrite=overwrite, need_bytes=len(image))
    target = Path(os.path.realpath(path))  # so a symbolic link stays one
    temporary = target.with_name(f".drr-{secrets.token_hex(8)}.tmp")
    try:
        _write_durably(temporary, image)
        check(temporary)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"{path}: can't be written: {_reason(error)}") from error
        if isinstance(error, DrrError):
            raise OutputError(
                f"{path}: can't be written: the file read back otherwise than it was written; "
                f"check the disk or choose another place ({error})"
            ) from error
        raise
    _sync_folder(target.parent)


def _write_durably(path: Path, image: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o666), "wb", buffering=0) as file:
        rest = memoryview(image)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # the new file is in its place already, and some file systems do not sync folders
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _reason(error: OSError | ValueError) -> str:
    number = getattr(error, "errno", None)
    text = getattr(error, "strerror", None) or error
    return _REASONS.get(number or 0, f"{text}; choose another place")
