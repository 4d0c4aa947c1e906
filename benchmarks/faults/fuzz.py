"""Structured fuzzing: mutants of small files, read under limits on memory and time.

    python benchmarks/faults/fuzz.py --mutants 1000000 -o benchmarks/results/faults-fuzz.json

`tests/formats/mutants.py` makes them. A named error or a sound file is as it should be; a fault is
any other exception (MemoryError beyond 2 GiB included), a signal, or a hang over 5 s, twice: a busy
machine may stop a process for so long once. Mutants at fault are kept in --keep. Given the JSON of
an earlier run with the same seed, it goes on behind it.
"""

from __future__ import annotations

import collections
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from workbench import ROOT, parser, report

sys.path.insert(0, str(ROOT / "tests" / "formats"))

from mutants import (
    HANG_SECONDS,
    MEMORY_CAP,
    Seedling,
    limit_memory,
    mutant,
    of_number,
    outcome,
    seedlings,
)

BATCH = 2000  # mutants of one process


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--mutants", type=int, default=1_000_000)
    arguments.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    arguments.add_argument("--processes", type=int, default=os.cpu_count())
    arguments.add_argument("--keep", type=Path, default=Path("mutants-at-fault"))
    given = arguments.parse_args()
    torch.set_num_threads(1)
    start, before = 0, {}
    if given.output is not None and given.output.exists():
        before = json.loads(given.output.read_text())
        start = before["mutants"] if before["seed"] == given.seed else 0
    outcomes = collections.Counter(before.get("outcomes", {}) if start else {})
    faults: list[str] = list(before.get("faults", []) if start else [])
    until, seconds = time.monotonic() + 60 * given.minutes, time.monotonic()
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as place:
        seeds = seedlings(Path(place))
        done = start
        while done < given.mutants and time.monotonic() < until:
            width = min(BATCH, -(-(given.mutants - done) // given.processes))
            ranges = [
                range(first, min(given.mutants, first + width))
                for first in range(done, min(given.mutants, done + given.processes * width), width)
            ]
            jobs = [_Job(seeds, given.seed, numbers, Path(place)) for numbers in ranges]
            for job in jobs:
                outcomes += job.finish(given.keep, faults)
            done = ranges[-1].stop
            print(f"{done} mutants, {len(faults)} faults", file=sys.stderr)
    report(
        {
            "mutants": done,
            "seed": given.seed,
            "faults": faults,
            "outcomes": dict(sorted(outcomes.items())),
            "memory cap, bytes": MEMORY_CAP,
            "hang, seconds": HANG_SECONDS,
            "seconds": round(before.get("seconds", 0) * bool(start) + time.monotonic() - seconds),
        },
        given.output,
    )


class _Job:
    """A process that goes through some mutants; where it dies another goes on behind that one."""

    def __init__(self, seeds: list[Seedling], seed: int, numbers: range, place: Path) -> None:
        self.seeds, self.seed, self.numbers, self.place = seeds, seed, numbers, place
        self._start(numbers.start)

    def _start(self, first: int) -> None:
        self.ours, theirs = multiprocessing.Pipe(duplex=False)
        self.child = os.fork()
        if self.child == 0:
            code = 1
            try:
                _read_mutants(
                    self.seeds, self.seed, range(first, self.numbers.stop), self.place, theirs
                )
                code = 0
            finally:
                os._exit(code)
        theirs.close()

    def finish(self, keep: Path, faults: list[str]) -> collections.Counter[str]:
        outcomes: collections.Counter[str] = collections.Counter()
        slow = -1  # the mutant that was last tried again
        while True:
            last = self.numbers.start - 1
            try:
                while True:
                    last, found = self.ours.recv()
                    outcomes[found] += 1
                    if found.startswith("fault"):
                        _keep(keep, faults, last, found, mutant(self.seeds, self.seed, last))
            except EOFError:
                _, status = os.waitpid(self.child, 0)
            if status == 0:
                return outcomes
            number = last + 1
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM and slow != number:
                slow, self.numbers = number, range(number, self.numbers.stop)
                self._start(number)
                continue
            what = (
                f"fault: {signal.Signals(os.WTERMSIG(status)).name}"
                if os.WIFSIGNALED(status)
                else "fault: exit"
            )
            outcomes[what] += 1
            _keep(keep, faults, number, what, mutant(self.seeds, self.seed, number))
            self.numbers = range(number + 1, self.numbers.stop)
            self._start(number + 1)


def _read_mutants(
    seeds: list[Seedling], seed: int, numbers: range, place: Path, pipe: Connection
) -> None:
    path = place / f"mutant-{os.getpid()}.drr"
    limit_memory(place / "bitswap.drr")
    for number in numbers:
        path.write_bytes(mutant(seeds, seed, number))
        signal.alarm(HANG_SECONDS)
        try:
            found = outcome(path, of_number(seeds, number))
        except BaseException as error:
            found = f"fault: {type(error).__name__}: {str(error)[:200]}"
        signal.alarm(0)
        pipe.send((number, found))
    path.unlink(missing_ok=True)


def _keep(folder: Path, faults: list[str], number: int, what: str, image: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{number}.drr").write_bytes(image)
    faults.append(f"{number}: {what}")


if __name__ == "__main__":
    main()
