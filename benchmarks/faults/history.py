"""append, drop and merge in any order, many thousand steps, against a dict.

    python benchmarks/faults/history.py -o benchmarks/results/faults-history.json

Each run is the slow test of `tests/operations/test_history.py` on a file of Bit-Swap, with another
seed and so many steps. The suite takes a few steps of each entropy model in every run of all tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from workbench import ROOT, parser, report


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=10)
    options.add_argument("--steps", type=int, default=1000, help="of each run")
    given = options.parse_args()
    seeds = range(given.seed + 1, given.seed + 1 + given.runs)
    runs = [{"hypothesis_seed": seed, **carried_out(seed, given.steps)} for seed in seeds]
    report({"steps": sum(run["steps"] for run in runs), "runs": runs}, given.output)


def carried_out(seed: int, steps: int) -> dict[str, Any]:
    """Whether a run of so many steps failed, and its seconds."""
    test = ROOT / "tests" / "operations" / "test_history.py"
    options = ["-q", "-k", "bitswap", f"--hypothesis-seed={seed}", "-p", "no:cacheprovider"]
    environment = {**os.environ, "DRRPACK_HISTORY_STEPS": str(steps)}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(test)], cwd=ROOT, env=environment
    )
    seconds = round(time.monotonic() - start, 2)
    return {"steps": steps, "failed": done.returncode != 0, "seconds": seconds}


if __name__ == "__main__":
    main()
