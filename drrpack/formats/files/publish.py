"""Put a finished file in its place, atomically: readers see the old file or the whole new one."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import IO

from drrpack.core.errors import DrrError, MissingError, OutputError, WriteError
from drrpack.formats.files.beside import EXCHANGE, NUMBER, PREFIX, SUFFIX, hidden_beside
from drrpack.formats.files.locks import free, is_at, lock_file, new_file, new_folder
from drrpack.formats.files.places import check_output, exists_already, reason
from drrpack.formats.files.unfinished import undone_by
from drrpack.formats.layout import AnyPath


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
        OutputError: it can't be written, or another file is there, be it only since a moment ago,
            and ``overwrite`` is not set; nothing is left behind then, and an old file stays.
    """
    shown = path if shown is None else shown
    check_output(shown, overwrite=overwrite, need_bytes=need_bytes)
    target = Path(os.path.realpath(path))  # so a symbolic link stays one
    with whole_file(target, shown, overwrite=overwrite) as (hidden, descriptor):
        _keep_mode(descriptor, target)
        _fill(descriptor, write)
        try:
            check(hidden)
        except DrrError as error:
            raise WriteError(
                f"{shown}: can't be written: what was read back differs from what was written; "
                f"check the disk or choose another place ({error})"
            ) from error


@contextmanager
def whole_file(
    target: Path, shown: AnyPath, *, overwrite: bool = True
) -> Iterator[tuple[Path, int]]:
    """A new file under a hidden name beside ``target``, by path and descriptor.

    At the end it is on the disk and is renamed to ``target``. It is locked until then, so that no
    other command takes it for a leftover.

    Raises:
        WriteError: names ``shown``; the hidden file is removed, as after any other error.
        OutputError: a file is at ``target``, and ``overwrite`` is not set.
    """
    hidden = hidden_beside(target)
    with _all_or_nothing(hidden, shown), new_file(hidden) as descriptor:
        yield hidden, descriptor
        os.fsync(descriptor)
        if overwrite or not _linked(hidden, target, shown):
            os.replace(hidden, target)
    sync_folder(target.parent)


def _linked(hidden: Path, target: Path, shown: AnyPath) -> bool:
    """Rename a file where that replaces no other; returns False on a file system without links."""
    try:
        os.link(hidden, target)
    except FileExistsError as error:
        raise exists_already(shown) from error
    except OSError:
        return False
    remove(hidden)
    return True


@contextmanager
def whole_folder(target: Path, shown: AnyPath) -> Iterator[Path]:
    """The same for a folder, but what the caller writes into it may not be on the disk yet."""
    hidden = hidden_beside(target)
    with _all_or_nothing(hidden, shown), new_folder(hidden):
        yield hidden
        os.replace(hidden, target)
    sync_folder(target.parent)


@contextmanager
def _all_or_nothing(hidden: Path, shown: AnyPath) -> Iterator[None]:
    """Remove what is at ``hidden`` after an error; an OSError becomes a WriteError."""
    with undone_by(partial(remove, hidden)):
        try:
            yield
        except BaseException as error:
            remove(hidden)
            if isinstance(error, OSError):
                raise WriteError(f"{shown}: can't be written: {reason(error)}") from error
            raise


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a hidden file, and rename it to ``path`` when it is complete.

    Raises:
        WriteError: names ``path``; an existing file stays.
    """
    with whole_file(path, path) as (_, descriptor):
        _keep_mode(descriptor, path)
        try:
            _fill(descriptor, write)
        except RuntimeError as error:  # torch.save tells of a full disk by it
            raise WriteError(
                f"{path}: can't be written: {error}; check the disk or choose another place"
            ) from error


def _keep_mode(descriptor: int, target: Path) -> None:
    """Give a new file the access mode of the file that it replaces."""
    with contextlib.suppress(OSError):  # nothing there, or a file system without modes
        os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))


def _fill(descriptor: int, write: Callable[[IO[bytes]], object]) -> None:
    with open(descriptor, "wb", closefd=False) as file:
        write(file)


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


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the hidden files and folders of writers that were killed; returns what they were.

    The files of a running process are locked, and stay. On a file system without locks, all stay.
    So does what `drrpack.formats.files.exchange.finish_exchanges` can finish.
    """
    found = [path for end in (SUFFIX, _CLAIM) for path in folder.glob(f"{PREFIX}{NUMBER}{end}")]
    return [path for path in sorted(found) if _remove_left_over(path)]


def is_hidden(path: Path) -> bool:
    """Whether a name is that of an unfinished file or folder, of a leftover, or of a lock."""
    return path.name.startswith(PREFIX) and path.name.endswith((SUFFIX, EXCHANGE, _CLAIM))


def _remove_left_over(path: Path) -> bool:
    """Remove a file that nobody has locked, while holding its lock, because names are reused."""
    with free(path) as nobodys:
        if nobodys:
            remove(path)
    return nobodys


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
            if is_at(descriptor, lock):
                lock.unlink()

    with undone_by(let_go):
        try:
            yield
        finally:
            let_go()
            os.close(descriptor)


def _taken(lock: Path, shown: Path) -> int:
    """The descriptor of a file that this process alone has locked; raises OutputError."""
    try:
        return lock_file(lock)
    except BlockingIOError as error:
        raise OutputError(
            f"{shown}: another process is writing it; try again later or choose another"
        ) from error
    except OSError as error:
        raise WriteError(f"{shown}: can't be written: {reason(error)}") from error


def _is_taken(descriptor: int, path: Path) -> bool:
    """Try to lock an open file; returns True if another process holds or has replaced it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return not os.path.samestat(os.fstat(descriptor), os.stat(path))
