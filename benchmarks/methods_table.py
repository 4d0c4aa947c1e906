"""The table of several methods: accuracies, new classes and bytes, mean ± deviation over seeds.

    python benchmarks/methods_table.py RUNS [-o TABLE.json]

RUNS is the OUT of methods.sh. Accuracy on the newest classes, and the share of all answers that
name one of them, are averages over the phases after the base; the last column is the share that
would be right, which is the share of the test images that show them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from drrpack.trainers.incremental.grouping import grouped
from drrpack.trainers.incremental.metrics import Newest
from drrpack.trainers.incremental.results import Result, read_result

Figures = dict[str, float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("runs", type=Path)
    arguments.add_argument("-o", "--output", type=Path, help="JSON of the figures")
    given = arguments.parse_args()
    results = [read_result(path) for path in sorted(given.runs.glob("*/result.json"))]
    rows = [
        {"method": group.method, "seeds": len(group.runs), **figures(group.runs)}
        for group in grouped(results)
    ]
    rows.sort(key=lambda row: -float(row["average over phases, mean"]))
    if given.output is not None:
        given.output.write_text(json.dumps(rows, indent=1) + "\n")
    print("| | average over phases | last phase | newest classes | answers naming them | memory |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        cells = [
            f"{row[f'{name}, mean']:.1f} ± {row[f'{name}, deviation']:.1f} %"
            for name in ("average over phases", "last phase", "newest classes")
        ]
        answers = f"{row['answers, mean']:.1f} of {row['images of newest classes']:.1f} %"
        print(f"| `{row['method']}` | {' | '.join(cells)} | {answers} | {row['MB']:.2f} MB |")


def figures(runs: Sequence[Result]) -> Figures:
    """Mean and sample deviation over the seeds of one method, in percent."""
    found: Figures = {}
    named: dict[str, Callable[[Result], float]] = {
        "average over phases": lambda run: run.metric("average_accuracy") or 0.0,
        "last phase": lambda run: run.metric("last_accuracy") or 0.0,
        "newest classes": lambda run: of_newest(run, "new_class_accuracy"),
        "answers": lambda run: of_newest(run, "new_class_answers"),
    }
    for name, figure in named.items():
        values = [figure(run) for run in runs]
        found[f"{name}, mean"] = float(np.mean(values))
        found[f"{name}, deviation"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    found["images of newest classes"] = of_newest(runs[0], "new_class_images")
    found["MB"] = runs[0].memory_bytes["total"] / 1e6
    return found


def of_newest(run: Result, figure: str) -> float:
    """A figure of `Newest`, averaged over the phases after the base."""
    phases: list[Newest] = [p.newest for p in run.phases[1:] if p.newest is not None]
    return float(np.mean([getattr(newest, figure) for newest in phases]))


if __name__ == "__main__":
    main()
