"""SIGKILL at random moments of encode, append, drop and merge: the old file or the new one stays.

    python benchmarks/faults/kills.py --runs 1000 -o benchmarks/results/faults-kills.json

Half of the moments are drawn from the whole of a command, half from its end, where it writes. After
each the file must be the old one or the new one to its last stream, and whatever else is left must
be removed by `remove_leftovers`. All that is not so is counted, and named.
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
from typing import Any

from workbench import CHANGES, Bench, make_bench, parser, report, state_of, states

from drrpack.core.errors import DrrError
from drrpack.formats.files.publish import remove_leftovers


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        bench = make_bench(place / "bench")
        found = campaign(bench, place, given.runs, given.seed)
    report(found, given.output)
    if found["faults"]:
        raise SystemExit(f"{len(found['faults'])} runs left what they should not have")


def campaign(bench: Bench, place: Path, runs: int, seed: int) -> dict[str, Any]:
    """Counts of what ``runs`` kills left: torn files, strays, and each outcome by command."""
    chance = random.Random(seed)
    wanted = states(bench, place / "states")
    seconds = {name: _seconds(bench, place / "time", name) for name in CHANGES}
    outcomes: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    torn = strays = 0
    for number in range(runs):
        name = list(CHANGES)[number % len(CHANGES)]
        here = place / f"run{number}"
        bench.copies(here)
        known = {path.name for path in here.iterdir()}
        share = chance.uniform(0, 1.1) if chance.random() < 0.5 else chance.uniform(0.7, 1.1)
        _kill(bench, here, name, share * seconds[name])
        target = CHANGES[name][0]
        outcome = _outcome(here / target, wanted[name])
        outcomes[f"{name}: {outcome}"] += 1
        outcomes["with a temporary file, removed by the next run"] += len(remove_leftovers(here))
        left = {p.name for p in here.iterdir() if not p.name.endswith(".fit")} - known - {target}
        torn, strays = torn + (outcome == "torn"), strays + len(left)
        if outcome == "torn" or left:
            faults.append(f"run {number}, {name}: {outcome}, left {sorted(left)}")
        shutil.rmtree(here)
    counts = {"runs": sum(outcomes[key] for key in outcomes if ": " in key), "torn": torn}
    return {
        **counts,
        "strays": strays,
        "faults": faults,
        "outcomes": dict(sorted(outcomes.items())),
    }


def _outcome(path: Path, wanted: tuple[str, str]) -> str:
    """Whether a file is the old one, the new one, or neither: torn."""
    try:
        state = state_of(path)
    except DrrError:
        return "torn"
    return "new" if state == wanted[1] else "old" if state == wanted[0] else "torn"


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
