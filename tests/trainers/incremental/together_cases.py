"""Small runs that the processes of torchrun carry out together, for `test_together.py`.

Arguments: a folder for the runs. The same function, called with one process, gives what the results
are compared with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from protocol_data import DigitsData, small_settings

from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.study import plan, study
from drrpack.trainers.ranks import Ranks, ranks, sharing

# Without history there must be one training alone, or it is spread.
RUNS: dict[str, dict[str, int]] = {
    "ub": {"base": 10, "phases": 0, "epochs": 10, "width": 8},
    "lucir": {"base": 4, "phases": 1, "epochs": 2},
    "gfr": {"base": 4, "phases": 1, "epochs": 2},
    "ib-drr": {"base": 10, "phases": 0, "epochs": 2},
    "drr-soft": {"base": 4, "phases": 1, "epochs": 2},
}


def run(method: str, out: Path, processes: Ranks) -> Result:
    changes = dict(RUNS[method])
    phases = changes.pop("phases")
    jobs = plan(out / method, small_settings(method, **changes), [phases], [0], ceiling=False)
    images = 140 if method == "ub" else 40  # of each class
    (result,) = study(DigitsData(images), jobs, out / method, processes=processes)
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    with sharing():
        found = {method: run(method, folder, ranks()).to_json() for method in RUNS}
        (folder / f"{ranks().rank}.json").write_text(json.dumps(found))
