"""Every write, fsync and rename made to fail once, and a disk that is full.

    python benchmarks/faults/failures.py -o benchmarks/results/faults-failures.json

For each command the first call of each of these functions fails, then the second, and so on until
the command gets through. After each failure there must be a named error, the original byte for
byte, and nothing else. The full disk is a real one: a small tmpfs, which takes the right to mount
it; its room goes from nothing to enough in steps of a page.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench import CHANGES, Bench, make_bench, parser, report, state_of, states

from drrpack.errors import DrrError

FUNCTIONS = ("open", "write", "fsync", "replace", "mkdir")
REASONS = (errno.EIO, errno.ENOSPC, errno.EACCES)
# tuning keeps checkpoints by torch.save, whose writes are not os.write
PLAIN = [name for name in CHANGES if name != "append, tuned"]


class Failing:
    """Lets the ``nth`` call of a function of ``os`` fail; reads are let through."""

    def __init__(self, function: str, nth: int, reason: int) -> None:
        self.function, self.nth, self.reason = function, nth, reason
        self.real: Callable[..., Any] = getattr(os, function)
        self.calls, self.failed = 0, False

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        reading = self.function == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR)
        if not reading:
            self.calls += 1
            if self.calls == self.nth:
                self.failed = True
                raise OSError(self.reason, os.strerror(self.reason))
        return self.real(*arguments, **options)


def main() -> None:
    given = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        bench = make_bench(place / "bench")
        wanted = states(bench, place / "states")
        counts = {}
        for name in PLAIN:
            for function in FUNCTIONS:
                for reason in REASONS:
                    failed = _nth_calls(bench, place, name, function, reason, wanted[name])
                    counts[f"{name}: {function}"] = failed
        content = {
            "failed calls": {k: v for k, v in counts.items() if v},
            "reasons each": [errno.errorcode[reason] for reason in REASONS],
            "damaged originals": 0,
            "leftovers": 0,
            "full disk": _full_disk(bench, place / "disk", wanted),
        }
        report(content, given.output)


def _nth_calls(
    bench: Bench, place: Path, name: str, function: str, reason: int, wanted: tuple[str, str]
) -> int:
    """How many calls of a function a command makes, each of which has failed once."""
    nth = 0
    while True:
        nth += 1
        here = place / "run"
        bench.copies(here)
        before = _content(here)
        failing = Failing(function, nth, reason)
        setattr(os, function, failing)
        try:
            CHANGES[name][1](bench, here)
            error = None
        except DrrError as caught:
            error = caught
        finally:
            setattr(os, function, failing.real)
        state = state_of(here / CHANGES[name][0])
        if error is not None:
            assert _content(here) == before, f"{name}: {function} {nth} changed something"
            assert str(here) in str(error), error
        else:  # what failed was not needed, or nothing did
            assert state == wanted[1], f"{name}: {function} {nth} passed over an error"
        shutil.rmtree(here)
        if not failing.failed:
            return nth - 1


def _content(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def _full_disk(bench: Bench, place: Path, wanted: dict[str, tuple[str, str]]) -> Any:
    try:
        with _disk(place, 1 << 20):
            pass
    except (OSError, subprocess.CalledProcessError) as error:
        return f"not measured: no right to mount a tmpfs ({error})"
    outcomes = {"refused": 0, "written": 0}
    for name in PLAIN:
        pages = 0
        while True:
            with _disk(place, 1 << 22):
                here = place / "run"
                bench.copies(here)
                free = os.statvfs(place).f_bavail
                with open(place / "filler", "wb") as filler:
                    filler.write(bytes(max(0, free - pages) * os.statvfs(place).f_frsize))
                before = _content(here)
                try:
                    CHANGES[name][1](bench, here)
                except DrrError as error:
                    assert _content(here) == before and str(here) in str(error), name
                    outcomes["refused"] += 1
                    done = False
                else:
                    assert state_of(here / CHANGES[name][0]) == wanted[name][1], name
                    outcomes["written"] += 1
                    done = True
            pages += 1
            if done:
                break
    return outcomes


@contextmanager
def _disk(place: Path, size: int) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


if __name__ == "__main__":
    main()
