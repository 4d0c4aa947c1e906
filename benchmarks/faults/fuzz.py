"""Structured fuzzing: mutants of small and of large files, read while memory and time are measured.

    python benchmarks/faults/fuzz.py --mutants 1000000 -o benchmarks/results/faults-fuzz.json
    python benchmarks/faults/fuzz.py --files large --minutes 60 -o faults-fuzz-large.json

`tests/formats/mutants.py` makes them. A named error or a sound file is as it should be. A fault is

- any other exception, a signal, a hang: more than 5 s of the processor and 10 times what the sound
  file takes, or 20 times as long by the clock, twice (a machine may stop a process for so long
  once, which is counted, too);
- a reader that takes more memory than 3 times what the sound file takes, and 16 MiB: of what Python
  and numpy ask for, and of what is resident, PyTorch's included. A process may not have more than
  2 GiB beside what it starts with, so that an enormous mutant does not take the machine along.

Mutants at fault are kept in --keep. Given the JSON of an earlier run with the same seed and files,
it goes on behind it. All that the JSON holds this script has written.
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
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from workbench import ROOT, parser, report

sys.path.insert(0, str(ROOT / "tests" / "formats"))

import mutants
from mutants import Meter, Seedling, Taken, mutant, of_number, outcome

BATCH = 50  # mutants of one process
FILES: dict[str, Callable[[Path], list[Seedling]]] = {
    "tiny": mutants.seedlings,
    "large": mutants.large_seedlings,
}
STOPPED = "stopped once by the alarm, and not when tried again"


@dataclass
class Campaign:
    """What is mutated, and what was found so far."""

    seeds: list[Seedling]
    costs: dict[str, Taken]  # of the sound files
    seed: int
    place: Path
    keep: Path
    done: int = 0
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)
    largest: dict[str, float] = field(default_factory=dict)  # share of what is allowed, by file

    def take(self, number: int, found: str, share: float) -> None:
        name = of_number(self.seeds, number).name
        self.outcomes[found.split(": ")[0] if found.startswith("fault") else found] += 1
        self.largest[name] = max(self.largest.get(name, 0.0), round(share, 3))
        if found.startswith("fault"):
            self.keep.mkdir(exist_ok=True)
            (self.keep / f"{number}.drr").write_bytes(mutant(self.seeds, self.seed, number))
            self.faults.append(f"{number}, of {name}: {found}")

    def hang_seconds(self, number: int) -> int:
        """Of the processor."""
        sound = self.costs[of_number(self.seeds, number).name].seconds
        return int(mutants.HANG_SECONDS + mutants.HANG_MULTIPLE * sound)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--mutants", type=int, default=1_000_000)
    arguments.add_argument("--files", choices=FILES, default="tiny")
    arguments.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    arguments.add_argument("--processes", type=int, default=os.cpu_count())
    arguments.add_argument("--keep", type=Path, default=Path("mutants-at-fault"))
    given = arguments.parse_args()
    torch.set_num_threads(1)
    before = _before(given.output, given.seed, given.files)
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as folder:
        place = Path(folder)
        seeds = FILES[given.files](place)
        costs = mutants.sound_costs(seeds, place / "sound.drr")
        campaign = Campaign(seeds, costs, given.seed, place, given.keep, before.get("mutants", 0))
        start = time.monotonic()  # making the files is no part of it
        campaign.outcomes.update(before.get("outcomes", {}))
        campaign.faults += before.get("faults", [])
        campaign.largest |= before.get("largest share of the memory allowed", {})
        while campaign.done < given.mutants and time.monotonic() < start + 60 * given.minutes:
            _go_on(campaign, given.mutants, given.processes)
            print(f"{campaign.done} mutants, {len(campaign.faults)} faults", file=sys.stderr)
    seconds = before.get("seconds", 0) + time.monotonic() - start
    report(_figures(campaign, given.files, round(seconds)), given.output)


def _before(output: Path | None, seed: int, files: str) -> dict[str, Any]:
    """What an earlier run of the same campaign has written, if there was one."""
    if output is None or not output.exists():
        return {}
    found: dict[str, Any] = json.loads(output.read_text())
    return found if (found["seed"], found.get("files")) == (seed, files) else {}


def _figures(campaign: Campaign, files: str, seconds: int) -> dict[str, Any]:
    return {
        "mutants": campaign.done,
        "seed": campaign.seed,
        "files": files,
        "sound files": {
            each.name: {"bytes": len(each.image), **asdict(campaign.costs[each.name])}
            for each in campaign.seeds
        },
        "faults": campaign.faults,
        "outcomes": dict(sorted(campaign.outcomes.items())),
        "memory allowed": f"{mutants.MEMORY_MULTIPLE} times what the sound file takes, and "
        f"{mutants.MEMORY_SLACK} bytes",
        "largest share of the memory allowed": campaign.largest,
        "hang": f"{mutants.HANG_SECONDS} s, and {mutants.HANG_MULTIPLE} times what the sound file "
        "takes, of the processor",
        "seconds": seconds,
    }


def _go_on(campaign: Campaign, until: int, processes: int) -> None:
    """The next batch of each process."""
    width = min(BATCH, -(-(until - campaign.done) // processes))
    end = min(until, campaign.done + processes * width)
    jobs = [
        _Job(campaign, range(first, min(end, first + width)))
        for first in range(campaign.done, end, width)
    ]
    for job in jobs:
        job.finish()
    campaign.done = end


class _Job:
    """A process that goes through some mutants; where it dies another goes on behind that one."""

    def __init__(self, campaign: Campaign, numbers: range) -> None:
        self.campaign, self.numbers = campaign, numbers
        self._start(numbers.start)

    def _start(self, first: int) -> None:
        self.ours, theirs = multiprocessing.Pipe(duplex=False)
        self.child = os.fork()
        if self.child == 0:
            code = 1
            try:
                _read_mutants(self.campaign, range(first, self.numbers.stop), theirs)
                code = 0
            finally:
                os._exit(code)
        theirs.close()

    def finish(self) -> None:
        slow = -1  # the mutant that was last tried again
        while True:
            last = self.numbers.start - 1
            try:
                while True:
                    last, found, share = self.ours.recv()
                    self.campaign.take(last, found, share)
            except EOFError:
                _, status = os.waitpid(self.child, 0)
            if status == 0:
                return
            number, ended = last + 1, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            if ended == signal.SIGALRM and slow != number:
                slow, self.numbers = number, range(number, self.numbers.stop)
                self.campaign.outcomes[STOPPED] += 1
                self._start(number)
                continue
            what = signal.Signals(ended).name if ended else "exit"
            self.campaign.take(number, f"fault: {what}", 0.0)
            self.numbers = range(number + 1, self.numbers.stop)
            self._start(number + 1)


def _read_mutants(campaign: Campaign, numbers: range, pipe: Connection) -> None:
    path = campaign.place / f"mutant-{os.getpid()}.drr"
    path.write_bytes(campaign.seeds[0].image)
    mutants.limit_memory(path)
    for number in numbers:
        seedling = of_number(campaign.seeds, number)
        path.write_bytes(mutant(campaign.seeds, campaign.seed, number))
        signal.setitimer(signal.ITIMER_PROF, campaign.hang_seconds(number))
        signal.alarm(20 * campaign.hang_seconds(number))
        with Meter() as meter:
            try:
                found = outcome(path, seedling)
            except BaseException as error:
                found = f"fault: {type(error).__name__}: {str(error)[:200]}"
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        share = meter.taken.share_of(campaign.costs[seedling.name])
        if share > 1 and not found.startswith("fault"):
            found = f"fault: memory: {meter.taken} of a reader that ends with {found}"
        pipe.send((number, found, share))
    path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
