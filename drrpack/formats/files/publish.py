"""Put a finished file in its place, atomically: readers see the old file or the whole new one."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import IO

from drrpack.core.errors import DrrError, MissingError, OutputError, WriteError
from drrpack.formats.files.places import check_output, reason
from drrpack.formats.files.unfinished import undone_by
from drrpack.formats.layout import AnyPath

_TRIES, _TRY_SECONDS = 5, 0.05  # for a lock that is held for a moment alone


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
                f"{path}: can't be written: what was read back differs from what was written; "
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


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a file, which takes the name ``path`` when it is whole.

    Raises:
        WriteError: names ``path``; what was there stays.
    """
    with all_or_nothing(path, path) as hidden, new_file(hidden) as descriptor:
        _keep_mode(descriptor, path)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                write(file)
        except RuntimeError as error:  # torch.save tells of a full disk by it
            raise WriteError(
                f"{path}: can't be written: {error}; check the disk or choose another place"
            ) from error
        os.fsync(descriptor)


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """The descriptor of a new file, locked while it is open: that tells it from a leftover.

    Nobody else's file or link is ever opened in its place, so what is to be written goes through
    the descriptor, never through the name once more.
    """
    with _locked(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW) as descriptor:
        yield descriptor


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A new folder, locked in the same way."""
    path.mkdir()
    with _locked(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW):
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

_PREFIX, _SUFFIX, _CLAIM = ".drr-", ".tmp", ".lock"
_NUMBER = "[0-9a-f]" * 16


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the hidden files and folders of writers that were killed; returns what they were.

    What belongs to a living process is locked, and stays; so does everything where a file system
    has no locks.
    """
    found = [path for end in (_SUFFIX, _CLAIM) for path in folder.glob(f"{_PREFIX}{_NUMBER}{end}")]
    return [path for path in sorted(found) if _remove_left_over(path)]


def is_hidden(path: Path) -> bool:
    """Whether a name is that of a file or folder which is not in its place yet, or never will, or
    of a lock."""
    return path.name.startswith(_PREFIX) and path.name.endswith((_SUFFIX, _CLAIM))


def _remove_left_over(path: Path) -> bool:
    """Remove what nobody has locked; the lock is held meanwhile, as the name of a claim is used
    again."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(descriptor, path):
            return False
        _remove(path)
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


# The files whose writers this thread is among: what they call may ask for them once more.
_CLAIMED: ContextVar[frozenset[Path]] = ContextVar("claimed", default=frozenset())


@contextmanager
def replacing(path: Path) -> Iterator[None]:
    """Hold off others that would write to ``path``, whether anything is there by now or not.

    Entered before the work begins it spares two processes the same work, of which the later would
    be lost. A hidden file beside ``path`` is locked for it, and the lock ends when this process
    does; what was there is held as by `changing`.

    Raises:
        OutputError: another process is at it already, or nothing can be written there.
    """
    target = Path(os.path.realpath(path))
    if target in _CLAIMED.get():
        yield
        return
    check_output(path, overwrite=True)
    with _claim(target, path), changing(path) if path.exists() else contextlib.nullcontext():
        before = _CLAIMED.set(_CLAIMED.get() | {target})
        try:
            yield
        finally:
            _CLAIMED.reset(before)


@contextmanager
def _claim(target: Path, shown: Path) -> Iterator[None]:
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    lock = target.with_name(f"{_PREFIX}{name}{_CLAIM}")
    descriptor = _taken(lock, shown)

    def let_go() -> None:
        with contextlib.suppress(OSError):
            if _is_at(descriptor, lock):
                lock.unlink()

    with undone_by(let_go):
        try:
            yield
        finally:
            let_go()
            os.close(descriptor)


def _taken(lock: Path, shown: Path) -> int:
    """The descriptor of a file that this process alone has locked; raises OutputError."""
    for _ in range(_TRIES):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise WriteError(f"{shown}: can't be written: {reason(error)}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, lock):
                return descriptor
        except BlockingIOError:  # by its writer, or for a moment by `remove_leftovers`
            time.sleep(_TRY_SECONDS)
        except OSError:  # some network file systems have no locks
            return descriptor
        os.close(descriptor)
    raise OutputError(f"{shown}: another process is writing it; try again later or choose another")


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at ``path``."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    return False


def _is_taken(descriptor: int, path: Path) -> bool:
    """Lock an open file, and tell whether another process was first, or has just replaced it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return not os.path.samestat(os.fstat(descriptor), os.stat(path))
