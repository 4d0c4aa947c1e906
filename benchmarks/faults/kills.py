"""SIGKILL at random moments of encode, append, drop and merge: the old file or the new one stays.

    python benchmarks/faults/kills.py --runs 1000 -o benchmarks/results/faults-kills.json
    python benchmarks/faults/kills.py --staged --runs 90 -o benchmarks/results/kills-staged.json

Half of the moments are drawn from the whole of a command, half from its end, where it writes. After
each the file must be the old one or the new one to its last stream, and whatever else is left must
be removed by `remove_leftovers`. All that is not so is counted, and named.

With ``--staged`` an encode is killed that keeps parts, and one that writes shards. After it the
same command must go on to the file, or the shards, of an undisturbed run, and leave nothing else.
Where it was killed while shards are renamed, some of a set may be there; every command refuses
these.
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

from workbench import (
    CHANGES,
    INCOMPLETE,
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
from drrpack.formats.files.beside import CHECKPOINTS, PARTS
from drrpack.formats.files.publish import remove_leftovers

Changes = dict[str, tuple[str, Change]]
KEPT = (CHECKPOINTS, PARTS)  # what the next run goes on with


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        bench = make_bench(place / "bench")
        changes = STAGED if given.staged else CHANGES
        found = campaign(bench, place, given.runs, given.seed, changes)
    report(found, given.output)
    if found["faults"]:
        raise SystemExit(f"{len(found['faults'])} runs left what they should not have")


def campaign(
    bench: Bench, place: Path, runs: int, seed: int, changes: Changes | None = None
) -> dict[str, Any]:
    """Counts of what ``runs`` kills left: torn files, strays, and each outcome by command."""
    changes = CHANGES if changes is None else changes
    chance = random.Random(seed)
    wanted = states(bench, place / "states", changes)
    seconds = {name: _seconds(bench, place / "time", changes[name][1]) for name in changes}
    outcomes: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    torn = strays = 0
    for number in range(runs):
        name = list(changes)[number % len(changes)]
        target, change = changes[name]
        here = place / f"run{number}"
        bench.copies(here)
        known = {path.name for path in here.iterdir()}
        share = chance.uniform(0, 1.1) if chance.random() < 0.5 else chance.uniform(0.7, 1.1)
        _kill(bench, here, change, share * seconds[name])
        outcome = _outcome(here / target, wanted[name])
        outcomes[f"{name}: {outcome}"] += 1
        outcomes["with a temporary file, removed by the next run"] += len(remove_leftovers(here))
        left = _strays(here, known, target, KEPT)
        if name in STAGED:
            outcomes["with parts to go on with"] += any(here.glob(f"*{PARTS}"))
            change(bench, here)
            left |= _strays(here, known, target, ())
            outcome = outcome if _outcome(here / target, wanted[name]) == "new" else "torn"
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


def _strays(place: Path, known: set[str], target: str, kept: tuple[str, ...]) -> set[str]:
    """What is in a folder and should not be."""
    there = {path.name for path in place.iterdir() if not path.name.endswith(kept)}
    return there - known - {path.name for path in place.glob(target)}


def _outcome(path: Path, wanted: tuple[str, str]) -> str:
    """Whether a file is the old one, the new one, or neither: torn."""
    try:
        state = state_of(path)
    except DrrError:
        return "torn"
    if state == INCOMPLETE:
        return "some shards alone, which are refused"
    return "new" if state == wanted[1] else "old" if state == wanted[0] else "torn"


def _seconds(bench: Bench, place: Path, change: Change) -> float:
    bench.copies(place)
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        change(bench, place)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, "it failed undisturbed"
    shutil.rmtree(place)
    return time.monotonic() - start


def _kill(bench: Bench, place: Path, change: Change, after: float) -> None:
    child = os.fork()
    if child == 0:
        try:
            change(bench, place)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
