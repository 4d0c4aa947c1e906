"""DRR and its ceiling UB on a memory, over several seeds: the price of compression.

    python benchmarks/class_incremental.py mem.drr -o benchmarks/results/NAME --classes 50:70 \
        --base 10 --phases 5 --epochs 12 --width 8 --seeds 0 1 2

Writes NAME.json (every run's result, and means and deviations over seeds) and NAME.png. Runs are
kept in the folder given by --work and go on where they were.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch

from drrpack.formats.account import account
from drrpack.formats.container import Reader
from drrpack.trainers.memory_data import MemoryData
from drrpack.trainers.protocol import run
from drrpack.trainers.results import plot, table
from drrpack.trainers.selection import select_classes


def main() -> None:
    given = _arguments()
    torch.set_num_threads(given.threads)
    with Reader(given.memory) as reader:
        numbers, figures = select_classes(reader.classes, given.classes), account(reader)
    data = MemoryData(given.memory, numbers=numbers)
    settings: dict[str, Any] = {
        name: getattr(given, name) for name in ("base", "phases", "recipe", "epochs", "width")
    }
    results = []
    for seed in given.seeds:
        for method in given.methods:
            out = given.work / f"{method}-{seed}"
            results.append(run(data, method, seed=seed, out=out, resume=True, **settings))
            print(method, seed, [round(p["accuracy"], 2) for p in results[-1]["phases"]])
    rows = table(results)
    machine = {"cores": os.cpu_count(), "threads": given.threads}
    found = {"summary": rows, "machine": machine, "memory": figures, "runs": results}
    given.output.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    plot(results, given.output.with_suffix(".png"))
    print(json.dumps(rows, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(".work/class_incremental"))
    parser.add_argument("--classes")
    parser.add_argument("--base", type=int, default=10)
    parser.add_argument("--phases", type=int, default=5)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=["drr", "ub"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
