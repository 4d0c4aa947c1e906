"""Several runs: which, where they go, what they share, and what TensorBoard is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from protocol_data import DigitsData, small_settings

from drrpack.core.errors import OutputError
from drrpack.trainers.incremental.study import Job, by_phases, plan, study

pytestmark = pytest.mark.usefixtures("one_thread")


def jobs_of(
    out: Path, method: str, phases: list[int], seeds: list[int], ceiling: bool
) -> list[Job]:
    return plan(out, small_settings(method), phases, seeds, ceiling=ceiling)


def test_a_single_run_and_its_ceiling(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "drr", [3], [0], True)
    assert [(job.method, job.folder) for job in jobs] == [
        ("drr", tmp_path), ("ub", tmp_path / "ub"),
    ]  # fmt: skip
    assert len(jobs_of(tmp_path, "ub", [3], [0], True)) == 1
    assert len(jobs_of(tmp_path, "drr", [3], [0], False)) == 1


def test_several_runs(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "er", [2, 3], [4, 5], True)
    assert len(jobs) == 8 and len({job.folder for job in jobs}) == 8
    assert jobs[0].folder == tmp_path / "er-2phases-seed4"
    assert {(job.method, job.settings.phases, job.settings.seed) for job in jobs} == {
        (method, phases, seed) for method in ("er", "ub") for phases in (2, 3) for seed in (4, 5)
    }


@pytest.mark.parametrize(
    ("phases", "seeds", "ceiling", "names"),
    [
        ([3], [0], True, ["drr", "ub"]),
        ([3], [0, 1], False, ["drr 3/0", "drr 3/1"]),
        ([2, 3], [4], False, ["drr 2/4", "drr 3/4"]),
        ([3], [0, 1], True, ["drr 3/0", "ub 3/0", "drr 3/1", "ub 3/1"]),
    ],
)
def test_no_two_runs_of_a_study_have_one_name(
    tmp_path: Path, phases: list[int], seeds: list[int], ceiling: bool, names: list[str]
) -> None:
    jobs = jobs_of(tmp_path, "drr", phases, seeds, ceiling)
    assert [job.name(jobs) for job in jobs] == names


def test_several_runs_leave_alone_what_a_single_one_has_left(tmp_path: Path) -> None:
    study(DigitsData(8), jobs_of(tmp_path, "drr", [1], [0], False), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    jobs = jobs_of(tmp_path, "drr", [1], [0, 1], False)
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"already holds a single run .*give a new folder"):
            study(DigitsData(8), jobs, tmp_path, resume=resume)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_phases_that_runs_have_in_common_are_trained_once(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "drr", [1, 2, 3], [0, 1], True)
    trained: list[int] = []  # classes of each training
    left_behind = tmp_path / "phases" / ".drr-0123456789abcdef.tmp"  # by a run that was killed
    left_behind.parent.mkdir()
    left_behind.touch()

    def count(at: Any) -> None:
        if at.loss is not None and at.phase_fraction == 1:
            trained.append(at.classes_seen)

    found = study(DigitsData(8), jobs, tmp_path, report=count)
    # 4 and 10 classes; 4, 7 and 10; 4, 6, 8 and 10: five trainings for each method and seed
    assert len(trained) == 2 * 2 * 5
    assert [len(result.phases) for result in found] == [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    lasts = {(r.method, r.seed, r.last_accuracy) for r in found}
    assert len(lasts) == 4  # the last phase is the same model, however the classes were cut
    assert [count for count, _ in by_phases(found)] == [1, 2, 3]
    rows = json.loads((tmp_path / "summary.json").read_text())["rows"]
    assert [(row["method"], row["phases"], row["seeds"]) for row in rows] == [
        (method, phases, 2) for phases in (1, 2, 3) for method in ("drr", "ub")
    ]
    assert (tmp_path / "accuracy.png").stat().st_size > 1000
    assert not left_behind.exists()


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
    jobs = jobs_of(tmp_path / "run", "drr", [2], [0], False)
    (result,) = study(DigitsData(8), jobs, tmp_path / "run")
    accuracies = [(p.classes_seen, p.accuracy) for p in result.phases]
    assert [(step, value) for name, value, step in written if name == "accuracy"] == accuracies
    assert {name for name, _, _ in written if name.startswith("loss")} == {
        "loss/phase 0", "loss/phase 1", "loss/phase 2",
    }  # fmt: skip
    assert written[-1][0] == "closed"


def test_no_tensorboard_no_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    jobs = jobs_of(tmp_path / "run", "drr", [1], [0], False)
    study(DigitsData(8), jobs, tmp_path / "run")
    assert not (tmp_path / "run" / "tensorboard").exists()
