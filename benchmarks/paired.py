"""What several forms of a run add to one of them, paired by seed.

    python benchmarks/paired.py RUNS --against drr [-o PAIRED.json]

RUNS holds folders FORM-seedN of `drrpack train`. Of each form the table has the accuracy after the
last phase, the mean difference to the runs of the same seeds of the form that --against names, and
the interval in which the mean difference lies with a confidence of 95 % (Student's t).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from scipy import stats

from drrpack.trainers.incremental.results import read_result

CONFIDENCE = 0.95


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("runs", type=Path)
    arguments.add_argument("--against", required=True)
    arguments.add_argument("-o", "--output", type=Path, help="JSON of the figures")
    given = arguments.parse_args()
    found = accuracies(given.runs)
    base = found.get(given.against)
    if not base:
        raise SystemExit(f"{given.runs}: found no complete run of {given.against!r}")
    rows = [{"form": form, **against(base, own)} for form, own in found.items()]
    if given.output is not None:
        given.output.write_text(json.dumps(rows, indent=1) + "\n")
    print("| form | seeds | last phase | difference | 95 % |\n|---|---|---|---|---|")
    for row in rows:
        low, high = row["low"], row["high"]
        shown = "" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
        print(
            f"| {row['form']} | {row['seeds']} | {row['mean']:.2f} % | {row['difference']:+.2f} "
            f"| {shown} |"
        )


def accuracies(runs: Path) -> dict[str, dict[int, float]]:
    """The last accuracy of all complete runs, by form and seed."""
    found: dict[str, dict[int, float]] = {}
    for path in sorted(runs.glob("*/result.json")):
        result = read_result(path)
        if result.complete:
            form, _, seed = path.parent.name.rpartition("-seed")
            found.setdefault(form, {})[int(seed)] = result.last_accuracy
    return found


def against(base: dict[int, float], own: dict[int, float]) -> dict[str, float | None]:
    """Mean accuracy, mean difference over the seeds in common, and its interval."""
    seeds = sorted(base.keys() & own.keys())
    differences = np.array([own[seed] - base[seed] for seed in seeds])
    found: dict[str, float | None] = {
        "seeds": len(seeds),
        "mean": float(np.mean([own[seed] for seed in seeds])),
        "difference": float(differences.mean()),
        "low": None,
        "high": None,
    }
    if len(seeds) > 1 and differences.any():
        error = differences.std(ddof=1) / math.sqrt(len(seeds))
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1) * error)
        centre = float(differences.mean())
        found |= {"low": centre - half, "high": centre + half}
    return found


if __name__ == "__main__":
    main()
