"""Several runs: which, where they go, what they share, and what TensorBoard is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from protocol_data import SMALL, DigitsData

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.study import by_phases, numbers, plan, study

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = {name: value for name, value in SMALL.items() if name != "phases"}


def test_a_single_run_and_its_ceiling(tmp_path: Path) -> None:
    jobs = plan(tmp_path, "drr", [3], [0], ceiling=True)
    assert [(job.method, job.folder) for job in jobs] == [
        ("drr", tmp_path), ("ub", tmp_path / "ub"),
    ]  # fmt: skip
    assert len(plan(tmp_path, "ub", [3], [0], ceiling=True)) == 1
    assert len(plan(tmp_path, "drr", [3], [0], ceiling=False)) == 1


def test_several_runs(tmp_path: Path) -> None:
    jobs = plan(tmp_path, "er", [2, 3], [4, 5], ceiling=True)
    assert len(jobs) == 8 and len({job.folder for job in jobs}) == 8
    assert jobs[0].folder == tmp_path / "er-2phases-seed4"
    assert {(job.method, job.phases, job.seed) for job in jobs} == {
        (method, phases, seed) for method in ("er", "ub") for phases in (2, 3) for seed in (4, 5)
    }


@pytest.mark.parametrize("text", ["", "5,", "5,x", "-5", "5,5", "5.0"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="--phases"):
        numbers(text, "--phases")
    assert numbers("5, 10,25", "--phases") == [5, 10, 25]


def test_phases_that_runs_have_in_common_are_trained_once(tmp_path: Path) -> None:
    jobs = plan(tmp_path, "drr", [1, 2, 3], [0, 1], ceiling=True)
    trained: list[int] = []  # classes of each training

    def count(at: Any) -> None:
        if at.loss is not None and at.phase_fraction == 1:
            trained.append(at.classes_seen)

    found = study(DigitsData(8), jobs, tmp_path, report=count, **SETTINGS)
    # 4 and 10 classes; 4, 7 and 10; 4, 6, 8 and 10: five trainings for each method and seed
    assert len(trained) == 2 * 2 * 5
    assert [len(result["phases"]) for result in found] == [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    lasts = {(r["method"], r["seed"], r["last_accuracy"]) for r in found}
    assert len(lasts) == 4  # the last phase is the same model, however the classes were cut
    assert [count for count, _ in by_phases(found)] == [1, 2, 3]
    rows = json.loads((tmp_path / "summary.json").read_text())["rows"]
    assert [(row["method"], row["phases"], row["seeds"]) for row in rows] == [
        (method, phases, 2) for phases in (1, 2, 3) for method in ("drr", "ub")
    ]
    assert (tmp_path / "accuracy.png").stat().st_size > 1000


def test_tensorboard_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "run" / "tensorboard")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, *error: object) -> None:
            written.append(("closed", 0, 0))

    fake = ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    jobs = plan(tmp_path / "run", "drr", [2], [0], ceiling=False)
    (result,) = study(DigitsData(8), jobs, tmp_path / "run", **SETTINGS)
    accuracies = [(p["classes_seen"], p["accuracy"]) for p in result["phases"]]
    assert [(step, value) for name, value, step in written if name == "accuracy"] == accuracies
    assert {name for name, _, _ in written if name.startswith("loss")} == {
        "loss/phase 0", "loss/phase 1", "loss/phase 2",
    }  # fmt: skip
    assert written[-1][0] == "closed"


def test_no_tensorboard_no_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    jobs = plan(tmp_path / "run", "drr", [1], [0], ceiling=False)
    study(DigitsData(8), jobs, tmp_path / "run", **SETTINGS)
    assert not (tmp_path / "run" / "tensorboard").exists()
