"""New files and folders that are locked from their start, which tells them from leftovers."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TRIES, _TRY_SECONDS = 5, 0.05  # for a lock that is held for a moment alone
_SAFE = os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """The descriptor of a new file, locked while it is open.

    Callers write through the descriptor and never open the name again, so they can't write to a
    file or link that another program puts there.

    Raises:
        OSError: it can't be made.
    """
    descriptor = locked(path, _make_file)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A new folder, locked in the same way."""
    descriptor = locked(path, _make_folder)
    try:
        yield path
    finally:
        os.close(descriptor)


def _make_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o666)


def _make_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFE)


def lock_file(path: Path) -> int:
    """The descriptor of a file that is there for its lock alone, and may be there already."""
    return locked(path, lambda lock: os.open(lock, os.O_RDWR | os.O_CREAT | _SAFE, 0o666))


def locked(path: Path, make: Callable[[Path], int]) -> int:
    """The descriptor that ``make`` opens at ``path``, once this process alone has locked it.

    Another process may lock and remove what is not locked yet: then it is made again.

    Raises:
        BlockingIOError: another process keeps it locked. OSError: it can't be made.
    """
    descriptor = make(path)
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # by its writer, or for a moment by `remove_leftovers`
            time.sleep(_TRY_SECONDS)
            continue
        except OSError:  # some network file systems have no locks
            return descriptor
        if is_at(descriptor, path):
            return descriptor
        os.close(descriptor)
        descriptor = make(path)
    os.close(descriptor)
    raise BlockingIOError(errno.EWOULDBLOCK, "another process holds its lock")


@contextmanager
def free(path: Path) -> Iterator[bool]:
    """Whether no process has locked the file or folder at ``path``; within, this one has.

    False as well where that can't be known: it can't be opened, or the file system has no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _SAFE)
    except OSError:
        yield False
        return
    try:
        yield _locks(descriptor) and is_at(descriptor, path)
    finally:
        os.close(descriptor)


def _locks(descriptor: int) -> bool:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at ``path``."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    return False
