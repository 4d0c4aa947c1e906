"""SIGKILL at random moments of encode, append, drop and merge: the old file or the new one stays.

    python benchmarks/faults/kills.py --runs 1000 -o benchmarks/results/faults-kills.json

Half of the moments are drawn from the whole of a command, half from its end, where it writes. After
each the file must be the old one or the new one to its last stream, and whatever else is left must
be removed by `remove_leftovers`.
"""

from __future__ import annotations

import collections
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

from workbench import CHANGES, make_bench, parser, report, state_of, states

from drrpack.formats.publish import remove_leftovers


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    given = arguments.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        bench = make_bench(place / "bench")
        wanted = states(bench, place / "states")
        seconds = {name: _seconds(bench, place / "time", name) for name in CHANGES}
        outcomes: collections.Counter[str] = collections.Counter()
        for number in range(given.runs):
            name = list(CHANGES)[number % len(CHANGES)]
            here = place / f"run{number}"
            bench.copies(here)
            known = {path.name for path in here.iterdir()}
            share = chance.uniform(0, 1.1) if chance.random() < 0.5 else chance.uniform(0.7, 1.1)
            _kill(bench, here, name, share * seconds[name])
            target = CHANGES[name][0]
            state = state_of(here / target)
            assert state in wanted[name], f"{name}: {here / target} is neither old nor new"
            left = remove_leftovers(here)
            extra = {p.name for p in here.iterdir() if not p.name.endswith(".fit")} - known
            assert extra <= {target}, f"{name} left {extra}"
            outcomes[f"{name}: {'new' if state == wanted[name][1] else 'old'}"] += 1
            outcomes["with a temporary file, removed by the next run"] += len(left)
            shutil.rmtree(here)
        report(
            {"runs": given.runs, "torn": 0, "outcomes": dict(sorted(outcomes.items()))},
            given.output,
        )


def _seconds(bench, place: Path, name: str) -> float:
    bench.copies(place)
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        CHANGES[name][1](bench, place)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"{name} failed undisturbed"
    shutil.rmtree(place)
    return time.monotonic() - start


def _kill(bench, place: Path, name: str, after: float) -> None:
    child = os.fork()
    if child == 0:
        try:
            CHANGES[name][1](bench, place)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
