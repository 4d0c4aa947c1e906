"""Putting a finished file in its place: all of it or nothing, whatever happens on the way."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from drrpack.errors import DrrError, MissingError, OutputError, WriteError
from drrpack.formats.layout import AnyPath
from drrpack.formats.unfinished import undone_by

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
            written to, or (WriteError) has not ``need_bytes`` of free space.
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
        raise OutputError(f"{path}: exists already; say --force to overwrite it")
    if not target.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {target.parent}; create it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: {_REASONS[errno.EACCES]}")


def _check_space(path: AnyPath, folder: Path, need_bytes: int) -> None:
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < need_bytes + _SPARE_BYTES:
        raise WriteError(
            f"{path}: {need_bytes} bytes are needed and {free_bytes} are free; "
            "free some space or choose another place"
        )


def publish(
    path: AnyPath, image: bytes, check: Callable[[Path], None], *, overwrite: bool = False
) -> None:
    """Make ``image`` the file at ``path``, after ``check`` has read it back from the disk.

    Readers see the old file or the new one and nothing in between, also after a power cut. Only a
    process that is killed outright leaves something: a hidden file, see `remove_leftovers`.

    Raises:
        OutputError: it can't be written; nothing is left behind then, and an old file stays.
    """
    check_output(path, overwrite=overwrite, need_bytes=len(image))
    target = Path(os.path.realpath(path))  # so a symbolic link stays one
    with all_or_nothing(target, path) as temporary, new_file(temporary) as descriptor:
        _keep_mode(descriptor, target)
        _write_durably(descriptor, image)
        try:
            check(temporary)
        except DrrError as error:
            raise WriteError(
                f"{path}: can't be written: the file read back otherwise than it was written; "
                f"check the disk or choose another place ({error})"
            ) from error


@contextmanager
def all_or_nothing(target: Path, shown: AnyPath) -> Iterator[Path]:
    """A hidden place beside ``target`` for a file or folder, which takes its name in the end.

    Raises:
        WriteError: names ``shown``; the hidden place is gone then, as after any other error.
    """
    temporary = target.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
    with undone_by(partial(_remove, temporary)):
        try:
            yield temporary
            os.replace(temporary, target)
        except BaseException as error:
            _remove(temporary)
            if isinstance(error, OSError):
                raise WriteError(f"{shown}: can't be written: {reason(error)}") from error
            raise
    _sync_folder(target.parent)


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """The descriptor of a new file, locked while it is open: that tells it from a leftover."""
    with _locked(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
        yield descriptor


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A new folder, locked in the same way."""
    path.mkdir()
    with _locked(path, os.O_RDONLY):
        yield path


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def _keep_mode(descriptor: int, target: Path) -> None:
    """A file that takes the place of another is as private as that was."""
    with contextlib.suppress(OSError):  # nothing there, or a file system without modes
        os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))


def _write_durably(descriptor: int, image: bytes) -> None:
    rest = memoryview(image)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    # the new file is in its place already, and some file systems do not sync folders
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


# --- what a killed process left -------------------------------------------------------------------

_PREFIX, _SUFFIX = ".drr-", ".tmp"


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the hidden files and folders of writers that were killed; returns what they were.

    What a living process is writing is locked, and stays; so does everything where a file system
    has no locks.
    """
    removed = []
    for path in sorted(folder.glob(f"{_PREFIX}{'[0-9a-f]' * 16}{_SUFFIX}")):
        if _is_left_over(path):
            _remove(path)
            removed.append(path)
    return removed


def is_hidden(path: Path) -> bool:
    """Whether a name is that of a file or folder which is not in its place yet, or never will."""
    return path.name.startswith(_PREFIX) and path.name.endswith(_SUFFIX)


def _is_left_over(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


# --- one change at a time -------------------------------------------------------------------------


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Hold off other processes that would change the file at ``path``; readers are free.

    Raises:
        MissingError: there is no such file. OutputError: another process is at it already.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise MissingError(f"{path}: can't be opened: {error.strerror}; check the path") from error
    try:
        with contextlib.suppress(OSError):
            if _is_taken(descriptor, path):
                raise OutputError(f"{path}: another process is changing it; try again later")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[None]:
    """As `changing`, for what will take the place of whatever is at ``path``, if anything is."""
    with changing(path) if path.exists() else contextlib.nullcontext():
        yield


def _is_taken(descriptor: int, path: Path) -> bool:
    """Lock an open file, and tell whether another process was first, or has just replaced it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return os.fstat(descriptor).st_ino != os.stat(path).st_ino


def reason(error: OSError | ValueError) -> str:
    """What went wrong, and what to do, in words."""
    number = getattr(error, "errno", None)
    text = getattr(error, "strerror", None) or error
    return _REASONS.get(number or 0, f"{text}; choose another place")
