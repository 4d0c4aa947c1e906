"""A run that several processes carry out together: one training, one folder, one result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import together_cases
from several_processes import by_torchrun, errors_after_a_kill

from drrpack.formats.files.own import RESULT
from drrpack.trainers.incremental.results import read_result
from drrpack.trainers.incremental.spread import worth_spreading
from drrpack.trainers.ranks import ALONE

pytestmark = pytest.mark.usefixtures("one_thread")

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]


def test_what_is_spread() -> None:
    assert worth_spreading([5, 6, 7, 8], 2) == [0, 1, 2, 3]
    assert worth_spreading([7], 2) == [], "the other process would have nothing to do"
    assert worth_spreading([], 2) == []
    # a whole run of 28 classes beside phases of 28: half of all the work, a fair share of two
    assert worth_spreading([28, 8, 10, 10], 2) == [0, 1, 2, 3]
    assert worth_spreading([28, 7, 7, 7, 7], 4) == [1, 2, 3, 4], "not more than 21 for one of four"
    assert worth_spreading([28, 9, 10, 9], 4) == [], "three are left, for four"


@pytest.mark.slow
def test_results_are_those_of_one_process(tmp_path: Path) -> None:
    together, alone = tmp_path / "two", tmp_path / "one"
    together.mkdir()
    places = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(
        [*TORCHRUN, together_cases.__file__, together],
        capture_output=True, text=True, timeout=280, env={**os.environ, "PYTHONPATH": places},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    first, second = (json.loads((together / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    for method in together_cases.RUNS:
        two = read_result(together / method / RESULT)
        assert two.to_json() == first[method]
        one = together_cases.run(method, alone, ALONE)
        taken = [[phase.memory_bytes for phase in result.phases] for result in (two, one)]
        assert taken[0] == pytest.approx(taken[1], rel=1e-3), "packed exemplars, herded by features"
        for mine, theirs in zip(two.phases, one.phases, strict=True):
            # rounding is amplified from step to step, most of all in small untrained networks
            assert mine.losses[0] == pytest.approx(theirs.losses[0], rel=0.15), method
            assert mine.loss_terms.keys() == theirs.loss_terms.keys()
        assert two.phases[0].losses[0] == pytest.approx(one.phases[0].losses[0], rel=0.01), method
        names = [sorted(p.name for p in (out / method).rglob("*") if p.is_file()) for out in
                 (together, alone)]  # fmt: skip
        assert names[0] == names[1]
    accuracies = [read_result(out / "ub" / RESULT).last_accuracy for out in (together, alone)]
    assert min(accuracies) > 80 and abs(accuracies[0] - accuracies[1]) < 6, accuracies


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_resume_goes_on(
    digits_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [
        "-m", "drrpack", "train", digits_drr, "--source", digits_folder, "--method", "finetune",
        "--no-ceiling", "--phases", "4", "--base", "2", "--epochs", "8", "--width", "4", "--out",
        out,
    ]  # fmt: skip
    run = by_torchrun(2, *command)
    end = time.monotonic() + 200
    while not list(out.glob("phases/*.pt")) and time.monotonic() < end and run.poll() is None:
        time.sleep(0.02)
    errors = errors_after_a_kill(run)
    assert run.returncode != 0 and "SIGKILL" in errors
    assert "another process of this run has ended" in errors or "interrupted" in errors
    assert "Traceback" not in errors.partition("SIGKILL")[0].partition("torch/distributed")[0]
    kept = {path: path.stat().st_mtime_ns for path in out.glob("phases/*.pt")}
    assert 1 <= len(kept) < 5
    again = subprocess.run(
        [*TORCHRUN, *map(str, command), "--resume"], capture_output=True, text=True, timeout=280
    )
    assert again.returncode == 0, again.stderr
    assert len(read_result(out / RESULT).phases) == 5
    oldest = min(kept, key=lambda path: path.name)
    assert oldest.exists() and len(list(out.glob("phases/*.pt"))) == 5
