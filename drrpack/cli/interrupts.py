"""Ctrl-C and SIGTERM end the run at once with exit code 130 and leave nothing half-written.

The handler raises no exception. numpy and torch catch all exceptions while they are imported, so an
exception from the handler could get lost there, and the run would continue. Instead the handler
undoes unfinished work and ends the process. If the main thread is inside a call that does not
return, a second thread does this. If undoing hangs, a second signal ends the process.

Finished work does not count as interrupted: if the command's output is in place, or the command has
ended, the process ends with the corresponding exit code. A command that serves until a signal comes
ends with exit code 0.

This module imports as little as possible. A signal that comes before `install`, while the
interpreter starts, ends Python in its usual way, with a traceback.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import time
from contextlib import suppress

from drrpack.formats.files.unfinished import undo_all

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

EXIT_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 2.0  # time for the main thread to reach its handler; most calls take far less


class _Run:
    """The state that the signal handler needs; there is one for the process after `install`."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.before = [signal.getsignal(number) for number in SIGNALS]
        self.reader, self.writer = os.pipe()
        self.ending = False  # a signal has come, and the process is about to end
        self.exit_code: int | None = None  # of the command, once it has ended
        self.farewell: str | None = None  # what it says once a signal is its usual end
        self.output: str | None = None
        # folders for finished parts, what continues them, and whether they are new
        self.kept: list[tuple[str, str, bool]] = []
        self.files: Callable[[], Iterable[str | os.PathLike[str]]] = tuple  # that it consists of
        self.output_before: list[tuple[int, ...] | None] = []


_run: _Run | None = None


def install() -> None:
    """Handle both signals, for the rest of the process or until `uninstall`."""
    global _run
    if _run is not None:
        return
    _run = _Run()
    for number in SIGNALS:
        signal.signal(number, _handle)
    os.set_blocking(_run.writer, False)
    signal.set_wakeup_fd(_run.writer, warn_on_full_buffer=False)
    _thread.start_new_thread(_watch, (_run.reader,))
    atexit.register(_leave)  # the first to be registered, so the last to be called


def uninstall() -> None:
    """Restore the earlier handlers, if the process continues after a command, as in tests."""
    global _run
    if _run is None:
        return
    atexit.unregister(_leave)
    signal.set_wakeup_fd(-1)
    for number, handler in zip(SIGNALS, _run.before, strict=True):
        signal.signal(number, handler)
    os.close(_run.writer)  # which ends the thread
    _run = None


def makes(
    output: str | os.PathLike[str],
    files: Callable[[], Iterable[str | os.PathLike[str]]] | None = None,
) -> None:
    """Register the file or folder that the command puts in place at the end of its work.

    ``files`` finds what is there of an output that consists of several files.
    """
    if _run is not None:
        _run.output = os.fspath(output)
        _run.files = (lambda: [output]) if files is None else files
        _run.output_before = [*map(_identity, _run.files())]


def goes_on(folder: str | os.PathLike[str], how: str) -> None:
    """Register the folder in which the command keeps finished parts, and what continues them."""
    if _run is not None:
        _run.kept.append((os.fspath(folder), how, not os.path.lexists(folder)))


def serves(farewell: str) -> None:
    """Register that from now on a signal is the usual end of the command, and what it says then;
    an empty text says nothing."""
    if _run is not None:
        _run.farewell = farewell


def ended(exit_code: int) -> None:
    """Register that the command has ended, so that a signal can't change its exit code."""
    if _run is not None:
        _run.exit_code = exit_code


def _handle(*_: object) -> None:
    if _run is None or os.getpid() != _run.pid:  # a fork has nothing of its own to undo
        os._exit(EXIT_CODE)
    if not _run.ending:
        _end(_run)


def _watch(reader: int) -> None:
    """Wait for signals; Python writes their numbers to this pipe even if the main thread hangs."""
    _wait_for_signal(reader)
    time.sleep(GRACE_SECONDS)
    if _run is not None and _run.reader == reader and not _run.ending:
        _thread.start_new_thread(_end, (_run,))
    if _wait_for_signal(reader):
        time.sleep(GRACE_SECONDS)
        os._exit(EXIT_CODE)
    os.close(reader)


def _wait_for_signal(reader: int) -> bool:
    """Whether one of ours has come; the pipe has every signal that the program handles, and ends
    with `uninstall`."""
    while number := os.read(reader, 1):
        if number[0] in SIGNALS:
            return True
    return False


def _end(run: _Run) -> NoReturn:
    """Undo unfinished work and end the process, from any thread and at any moment."""
    run.ending = True
    if run.exit_code is not None:
        os._exit(run.exit_code)
    undo_all()
    if run.farewell is not None:
        if run.farewell:
            _tell(f"\n{run.farewell}" if os.isatty(2) else run.farewell)  # there ^C was echoed
        os._exit(0)
    written = run.output is not None and [*map(_identity, run.files())] != run.output_before
    _tell(f"interrupted, after {run.output!a} had been written" if written else _broken_off(run))
    os._exit(0 if written else EXIT_CODE)


def _broken_off(run: _Run) -> str:
    """What to say of a command that has not finished; a new folder without any part is removed."""
    for folder, how, new in run.kept:
        with suppress(OSError):
            if os.listdir(folder):
                return f"interrupted; finished parts are in {folder!a}: {how} goes on from there"
            if new:
                os.rmdir(folder)
    return "interrupted"


def _tell(text: str) -> None:
    """Write to stderr without Python's streams, whose locks the interrupted code may hold."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode("ascii", "backslashreplace"))


def _identity(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _leave() -> None:
    """End without taking Python and its libraries to pieces: Python gives the signals their default
    effect before that, and a run that is done would look like one that was killed."""
    if _run is None or _run.exit_code is None or os.getpid() != _run.pid:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # Python's own way has words for that
        return
    os._exit(_run.exit_code)
