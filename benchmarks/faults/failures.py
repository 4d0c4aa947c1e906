"""Every write, fsync and rename made to fail once, and a disk that is full.

    python benchmarks/faults/failures.py -o benchmarks/results/faults-failures.json
    python benchmarks/faults/failures.py --staged -o benchmarks/results/failures-staged.json

For each command the first call of each of these functions fails, then the second, and so on until
the command gets through. After each failure there must be a named error, the original byte for
byte, and nothing else. The full disk is a real one: a small tmpfs, which takes the right to mount
it; its room goes from nothing to enough in steps of a page. All that is not so is counted, and
named.

With ``--staged`` it is an encode that keeps parts, and one that writes shards, for one reason and
in steps of several pages, as they make many calls. Their parts stay after an error; the same
command must then go on to what an undisturbed run makes, and leave nothing else.
"""

from __future__ import annotations

import collections
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import (
    CHANGES,
    STAGED,
    Bench,
    Change,
    make_bench,
    parser,
    report,
    state_of,
    states,
)

from drrpack.core.errors import DrrError
from drrpack.formats.files.beside import PARTS

FUNCTIONS = ("open", "write", "pwrite", "fsync", "replace", "rename", "mkdir")
STAGED_PAGES = 8
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


@dataclass
class Tally:
    """What calls that failed left behind, and each fault by its name."""

    damaged: int = 0  # files that were there before, and are not as they were
    leftovers: int = 0  # files that were not
    unnamed: int = 0  # errors that do not name the place
    passed_over: int = 0  # commands that ended well without having done their work
    faults: list[str] = field(default_factory=list)

    def failed(
        self, what: str, before: dict[str, bytes], after: dict[str, bytes], told: str, place: Path
    ) -> None:
        """A command ended with an error."""
        damaged = [name for name, data in before.items() if after.get(name) != data]
        leftovers = sorted(set(after) - set(before))
        self.damaged += len(damaged)
        self.leftovers += len(leftovers)
        self.unnamed += str(place) not in told
        if damaged or leftovers or str(place) not in told:
            self.faults.append(f"{what}: damaged {damaged}, left {leftovers}, said {told!r}")

    def ended_well(self, what: str, path: Path, wanted: str) -> None:
        """A command ended without one: what failed was not needed, or nothing did."""
        try:
            state = state_of(path)
        except DrrError as error:
            state = f"unsound: {error}"
        if state != wanted:
            self.passed_over += 1
            self.faults.append(f"{what}: passed over an error, and left {path.name} {state}")

    def to_json(self) -> dict[str, Any]:
        return {
            "damaged originals": self.damaged,
            "leftovers": self.leftovers,
            "errors that name no file": self.unnamed,
            "errors passed over": self.passed_over,
            "faults": self.faults,
        }


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--only", choices=list(_changes()), help="this command alone")
    given = arguments.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        bench = make_bench(place / "bench")
        changes = STAGED if given.staged else {name: CHANGES[name] for name in PLAIN}
        changes = changes if given.only is None else {given.only: _changes()[given.only]}
        wanted = states(bench, place / "states", changes)
        counts = failed_calls(bench, place, wanted, tally)
        content = {
            "failed calls": counts,
            "failed calls in all": sum(counts.values()),
            "reasons": [errno.errorcode[r] for r in (REASONS[:1] if given.staged else REASONS)],
            "full disk": _full_disk(bench, place / "disk", wanted, tally),
        }
    report({**content, **tally.to_json()}, given.output)
    if tally.faults:
        raise SystemExit(f"{len(tally.faults)} calls left what they should not have")


def failed_calls(
    bench: Bench, place: Path, wanted: dict[str, tuple[str, str]], tally: Tally
) -> dict[str, int]:
    """How many calls of each function failed in each command, over all reasons."""
    counts: dict[str, int] = {}
    for name in wanted:
        for function in FUNCTIONS:
            for reason in REASONS[:1] if name in STAGED else REASONS:
                failed = _nth_calls(bench, place, name, function, reason, wanted[name], tally)
                key = f"{name}: {function}"
                counts[key] = counts.get(key, 0) + failed
    return {key: count for key, count in counts.items() if count}


def _nth_calls(
    bench: Bench,
    place: Path,
    name: str,
    function: str,
    reason: int,
    wanted: tuple[str, str],
    tally: Tally,
) -> int:
    """How many calls of a function a command makes, each of which has failed once."""
    nth, (target, change) = 0, _changes()[name]
    while True:
        nth += 1
        here = place / "run"
        bench.copies(here)
        before = _content(here)
        failing = Failing(function, nth, reason)
        setattr(os, function, failing)
        try:
            change(bench, here)
            error = None
        except DrrError as caught:
            error = caught
        finally:
            setattr(os, function, failing.real)
        what = f"{name}: {function} {nth}, {errno.errorcode[reason]}"
        if error is not None:
            tally.failed(what, before, _content(here), str(error), here)
            if name in STAGED:
                _go_on(f"{what}, again", bench, here, name, wanted[1], tally)
        else:
            tally.ended_well(what, here / target, wanted[1])
        shutil.rmtree(here)
        if not failing.failed:
            return nth - 1


def _changes() -> dict[str, tuple[str, Change]]:
    return {**CHANGES, **STAGED}


def _go_on(what: str, bench: Bench, place: Path, name: str, wanted: str, tally: Tally) -> None:
    """The same command once more, undisturbed, after a failure whose parts stay."""
    target, change = STAGED[name]
    before = {path.name for path in place.iterdir() if not path.name.endswith(PARTS)}
    change(bench, place)
    tally.ended_well(what, place / target, wanted)
    made = {path.name for path in place.glob(target)}
    left = sorted({path.name for path in place.iterdir()} - before - made)
    if left:
        tally.leftovers += len(left)
        tally.faults.append(f"{what}: left {left}")


def _content(place: Path) -> dict[str, bytes]:
    """All files but those of parts, with which an encode goes on."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in files
        if not any(folder.name.endswith(PARTS) for folder in path.parents)
    }


def _full_disk(bench: Bench, place: Path, wanted: dict[str, tuple[str, str]], tally: Tally) -> Any:
    try:
        with _disk(place, 1 << 20):
            pass
    except (OSError, subprocess.CalledProcessError) as error:
        return f"not measured: no right to mount a tmpfs ({error})"
    outcomes: collections.Counter[str] = collections.Counter()
    for name in wanted:
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
                    _changes()[name][1](bench, here)
                except DrrError as error:
                    what = f"{name} on a disk with {pages} pages"
                    tally.failed(what, before, _content(here), str(error), here)
                    outcomes["refused"] += 1
                    done = False
                else:
                    tally.ended_well(
                        f"{name} on a full disk", here / _changes()[name][0], wanted[name][1]
                    )
                    outcomes["written"] += 1
                    done = True
            pages += STAGED_PAGES if name in STAGED else 1
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
