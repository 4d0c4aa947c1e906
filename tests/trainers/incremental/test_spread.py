"""Trainings on several processes: each is done once, and the results are those of one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import pytest
from protocol_data import DigitsData, small_settings, without_times

from drrpack.core.errors import OptionError, OutputError
from drrpack.trainers.incremental import protocol
from drrpack.trainers.incremental import spread as spreading
from drrpack.trainers.incremental.results import read_result
from drrpack.trainers.incremental.run_plan import PlannedRun, plan_run
from drrpack.trainers.incremental.rundir import open_run
from drrpack.trainers.incremental.spread import spread
from drrpack.trainers.incremental.study import plan, study
from drrpack.trainers.ranks import Ranks, ranks, sharing

pytestmark = pytest.mark.usefixtures("one_thread")

T = TypeVar("T")


class OneByOne(Ranks):
    """A process of several that run one after the other, so none waits for another."""

    def of_all(self, mine: T) -> list[T]:
        return [mine] * self.size


def planned_runs(out: Path, method: str) -> list[PlannedRun]:
    jobs = plan(out, small_settings(method, epochs=1), [1, 2], [0, 1], ceiling=True)
    shared = out / "phases"
    return [
        plan_run(DigitsData(8), job.settings, job.folder, resume=True, checkpoints=shared)
        for job in jobs
    ]


@pytest.mark.parametrize("method", ["drr", "er"])
def test_results_are_those_of_one_process(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[list[object]] = []

    def counted(name: str) -> None:
        honest = getattr(spreading, name)

        def count(*given: object) -> object:
            trained[-1].append(given)
            return honest(*given)

        monkeypatch.setattr(spreading, name, count)

    counted("carry_out"), counted("carry_out_open_run")
    spread_out, alone_out = tmp_path / "spread", tmp_path / "alone"
    runs = planned_runs(spread_out, method)
    tasks = spreading._tasks(runs)  # all processes have looked before the first of them trains
    monkeypatch.setattr(spreading, "_tasks", lambda _: tasks)
    for rank in (0, 2, 1):  # the first one says in the folders what they are of
        trained.append([])
        spread(runs, OneByOne(rank, 3))
    # ub: 4, 7 and 10 classes for two seeds; of er four runs, of drr as of ub
    assert sum(map(len, trained)) == (12 if method == "drr" else 10)
    assert min(map(len, trained)) >= 3

    def made(out: Path) -> list[object]:
        jobs = plan(out, small_settings(method, epochs=1), [1, 2], [0, 1], ceiling=True)
        return [*map(without_times, study(DigitsData(8), jobs, out, resume=True))]

    trained.append([])
    honest = protocol.carry_out
    monkeypatch.setattr(protocol, "carry_out", lambda *_: 1 / 0)  # all is trained already
    spread_results = made(spread_out)
    monkeypatch.setattr(protocol, "carry_out", honest)
    assert spread_results == made(alone_out)


@pytest.mark.parametrize("method", ["drr", "er"])
def test_the_folders_are_locked_until_all_have_trained(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, told = planned_runs(tmp_path, method), list[str]()
    name = "carry_out" if method == "drr" else "carry_out_open_run"
    honest = getattr(spreading, name)

    def beside_another(*given: object) -> object:
        for run in runs:
            with pytest.raises(OutputError) as caught, open_run(run.out, run.described):
                told.append("let in")
            told.append(str(caught.value))
        return honest(*given)

    monkeypatch.setattr(spreading, name, beside_another)
    spread(runs, OneByOne(0, 3))
    assert told and all("another process is changing it" in text for text in told)
    for run in runs:
        with open_run(run.out, run.described):
            pass


def test_one_process_alone_has_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert ranks() == Ranks(0, 1) and ranks().first
    assert ranks().of_all("mine") == ["mine"] and ranks().from_first(lambda: 5) == 5


def test_a_program_with_processes_of_its_own_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert ranks() == Ranks(0, 1)
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with sharing(), pytest.raises(OptionError, match=r"WORLD_SIZE=2 .* start with torchrun"):
        ranks()


@pytest.mark.slow
def test_torchrun_train(digits_drr: Path, digits_folder: Path, tmp_path: Path) -> None:
    options = ["--method", "drr", "--phases", "2", "--base", "6", "--epochs", "1", "--width", "4"]
    together = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "drrpack",
            "train", digits_drr, "--source", digits_folder, *options, "--out", tmp_path / "two",
        ],
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert together.returncode == 0, together.stderr
    assert together.stdout.count("into ") == 2, "the first one speaks for both: drr and ub"
    alone = subprocess.run(
        [
            sys.executable, "-m", "drrpack", "train", digits_drr, "--source", digits_folder,
            *options, "--out", tmp_path / "one",
        ],
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    for place in (".", "ub"):
        two, one = (read_result(tmp_path / out / place / "result.json") for out in ("two", "one"))
        assert without_times(two) == without_times(one)
        settings = [
            json.loads((tmp_path / n / place / "settings.json").read_text()) for n in ("one", "two")
        ]
        assert settings[0] == settings[1]
