"""Check whether a file can be written to a place, and say why it can't."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from drrpack.core.errors import OutputError, WriteError
from drrpack.formats.layout import AnyPath

_SPARE_BYTES = 1 << 16  # for the folder entry and the file system's own blocks
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another place",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "you may not write to that folder; change its permissions or choose another",
    # an immutable file, a sticky folder: what chmod would not mend
    errno.EPERM: "the system forbids it, whatever the permissions are; choose another place",
    errno.ENAMETOOLONG: "the name is too long for the file system; give a shorter one",
    errno.ENOTDIR: "a part of the path is a file and not a folder; check the path",
    errno.ENOENT: "a folder of the path is not there; create it first",
    errno.ELOOP: "links in the path lead round in a circle; mend them or give another path",
    errno.EFBIG: "the file is larger than the file system or your limit on files (ulimit -f) "
    "allows; raise the limit or choose another place",
    errno.ETXTBSY: "it is a program that is running; end it or give another name",
    errno.EIO: "the disk fails; check it or choose another place",
    errno.EMFILE: "too many files are open; raise your limit on them (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; try again later",
}


def check_output(path: AnyPath, *, overwrite: bool = False, need_bytes: int = 0) -> None:
    """Check before the work that its result can be written to ``path``.

    Raises:
        OutputError: ``path`` exists or is not a regular file, or its folder is missing or may not
            be written to. WriteError: fewer than ``need_bytes`` are free.
    """
    try:
        target = Path(os.path.realpath(path))
        _check_target(path, target, overwrite)
        if need_bytes:
            _check_space(path, target.parent, need_bytes)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise OutputError(f"{path}: can't be written: {reason(error)}") from error


def _check_target(path: AnyPath, target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise OutputError(f"{path}: is a folder; give the path of a file, such as {path}/mem.drr")
    if target.exists() and not target.is_file():
        raise OutputError(f"{path}: is a device or pipe; give the path of a file")
    if target.exists() and not overwrite:
        raise exists_already(path)
    check_folder(path, target.parent)


def exists_already(path: AnyPath) -> OutputError:
    """The error for a file that may not be overwritten."""
    return OutputError(f"{path}: exists already; say `force=True` to overwrite it")


def check_folder(path: AnyPath, folder: Path) -> None:
    """Raise OutputError, which names ``path``, if ``folder`` does not exist.

    Raise OSError if nothing can be created in it.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}, it is a file; check the path")
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        why = errno.EROFS if _is_read_only(folder) else errno.EACCES
        raise OSError(why, os.strerror(why))


def make_folder(path: Path) -> Path:
    """Create a folder and its parents if they are missing; returns ``path``.

    Raises:
        OutputError: the folder can't be created, or nothing can be created in it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        check_folder(path, path)
    except OSError as error:
        raise OutputError(f"{path}: can't be made: {reason(error)}") from error
    return path


def _is_read_only(folder: Path) -> bool:
    """Of the file system, which no permissions change."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _check_space(path: AnyPath, folder: Path, need_bytes: int) -> None:
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < need_bytes + _SPARE_BYTES:
        raise WriteError(
            f"{path}: {need_bytes} bytes are needed and {free_bytes} are free; "
            "free some space or choose another place"
        )


def reason(error: OSError | ValueError) -> str:
    """A sentence that says what went wrong and what to do."""
    number = getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str | bytes):
        folder = Path(os.fsdecode(error.filename)).parent
        if not folder.is_dir():
            return f"there is no folder {folder}; create it first"
    text = getattr(error, "strerror", None) or error
    return _REASONS.get(number or 0, f"{text}; choose another place")
