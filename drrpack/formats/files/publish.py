"""Put a finished file in its place, atomically: readers see the old file or the whole new one."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
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
from drrpack.formats.files.beside import PREFIX, SUFFIX, hidden_beside
from drrpack.formats.files.places import check_output, reason
from drrpack.formats.files.unfinished import undone_by
from drrpack.formats.layout import AnyPath

_TRIES, _TRY_SECONDS = 5, 0.05  # for a lock that is held for a moment alone


def publish(
    path: AnyPath,
    write: Callable[[IO[bytes]], object],
    check: Callable[[Path], None],
    *,
    need_bytes: int,
    overwrite: bool = False,
    shown: AnyPath | None = None,
) -> None:
    """Make what ``write`` writes the file at ``path``, after ``check`` has read it back.

    Readers see either the old or the new file, also after a power cut. Only a killed process leaves
    something behind: a hidden file, see `remove_leftovers`. Messages name ``shown`` if given.

    Raises:
        OutputError: it can't be written; nothing is left behind then, and an old file stays.
    """
    shown = path if shown is None else shown
    check_output(shown, overwrite=overwrite, need_bytes=need_bytes)
    target = Path(os.path.realpath(path))  # so a symbolic link stays one
    with all_or_nothing(target, shown) as temporary, new_file(temporary) as descriptor:
        _keep_mode(descriptor, target)
        _write_durably(descriptor, write)
        try:
            check(temporary)
        except DrrError as error:
            raise WriteError(
                f"{shown}: can't be written: what was read back differs from what was written; "
                f"check the disk or choose another place ({error})"
            ) from error


@contextmanager
def all_or_nothing(target: Path, shown: AnyPath) -> Iterator[Path]:
    """A hidden path beside ``target`` for a file or folder, which is renamed to it at the end.

    Raises:
        WriteError: names ``shown``; the hidden file is removed, as after any other error.
    """
    temporary = hidden_beside(target)
    with undone_by(partial(remove, temporary)):
        try:
            yield temporary
            os.replace(temporary, target)
        except BaseException as error:
            remove(temporary)
            if isinstance(error, OSError):
                raise WriteError(f"{shown}: can't be written: {reason(error)}") from error
            raise
    sync_folder(target.parent)


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a hidden file, and rename it to ``path`` when it is complete.

    Raises:
        WriteError: names ``path``; an existing file stays.
    """
    with all_or_nothing(path, path) as hidden, new_file(hidden) as descriptor:
        _keep_mode(descriptor, path)
        try:
            _write_durably(descriptor, write)
        except RuntimeError as error:  # torch.save tells of a full disk by it
            raise WriteError(
                f"{path}: can't be written: {error}; check the disk or choose another place"
            ) from error


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """The descriptor of a new file, locked while it is open, which tells it from a leftover.

    Callers write through the descriptor and never open the name again, so they can't write to a
    file or link that another program puts there.
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
    """Give a new file the access mode of the file that it replaces."""
    with contextlib.suppress(OSError):  # nothing there, or a file system without modes
        os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))


def _write_durably(descriptor: int, write: Callable[[IO[bytes]], object]) -> None:
    with open(descriptor, "wb", closefd=False) as file:
        write(file)
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last, on file systems that can."""
    # the new file is in its place already
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


# --- what a killed process left -------------------------------------------------------------------

_CLAIM = ".lock"
_NUMBER = "[0-9a-f]" * 16


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the hidden files and folders of writers that were killed; returns what they were.

    The files of a running process are locked, and stay. On a file system without locks, all stay.
    """
    found = [path for end in (SUFFIX, _CLAIM) for path in folder.glob(f"{PREFIX}{_NUMBER}{end}")]
    return [path for path in sorted(found) if _remove_left_over(path)]


def is_hidden(path: Path) -> bool:
    """Whether a name is that of an unfinished file or folder, of a leftover, or of a lock."""
    return path.name.startswith(PREFIX) and path.name.endswith((SUFFIX, _CLAIM))


def _remove_left_over(path: Path) -> bool:
    """Remove a file that nobody has locked, while holding its lock, because names are reused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(descriptor, path):
            return False
        remove(path)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it can be."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


# --- one change at a time -------------------------------------------------------------------------


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Lock the file at ``path`` against changes by other processes; reading stays possible.

    Raises:
        MissingError: there is no such file. OutputError: another process is changing it.
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
    """Lock ``path`` against other writers, whether a file exists there or not.

    The caller takes the lock before its work, so that no second process does the same work in vain.
    The lock is on a hidden file beside ``path`` and ends with this process; an existing file is
    locked as by `changing`.

    Raises:
        OutputError: another process is writing there, or nothing can be written there.
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
    lock = target.with_name(f"{PREFIX}{name}{_CLAIM}")
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
    """Try to lock an open file; returns True if another process holds or has replaced it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return not os.path.samestat(os.fstat(descriptor), os.stat(path))
