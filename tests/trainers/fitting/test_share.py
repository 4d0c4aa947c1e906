"""Fits by two processes: those of one process, but for the rounding of sums."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import shared_cases
import torch
from torch import Tensor

from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.ranks import ALONE

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """What each of two processes has in the end, and their folder."""
    out = tmp_path_factory.mktemp("ranks")
    places = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
            shared_cases.__file__, out,
        ],
        capture_output=True, text=True, timeout=250, env={**os.environ, "PYTHONPATH": places},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1)], out


def flat(state: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors in a state, by their places in it."""
    if isinstance(state, Tensor):
        return {name: state}
    if not isinstance(state, dict | list | tuple):
        return {}
    items = state.items() if isinstance(state, dict) else enumerate(state)
    return {k: v for key, value in items for k, v in flat(value, f"{name}.{key}").items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", shared_cases.TASKS)
def test_the_fit_is_that_of_one_process(name: str, of_two: Any) -> None:
    (first, second), _ = of_two
    ours, theirs = (flat(one[name]["state"]) for one in (first, second))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert first[name]["log"] == second[name]["log"]
    alone = shared_cases.fitted(name, ALONE, Budget(epochs=shared_cases.TASKS[name]))
    wanted = flat(alone["state"])
    assert ours.keys() == wanted.keys() and len(wanted) > 10
    for key, value in wanted.items():
        if ".optimiser." in key:
            continue  # what moves the weights; these are compared
        torch.testing.assert_close(ours[key], value, rtol=1e-2, atol=1e-3, msg=f"{name} {key}")
    assert first[name]["log"] == pytest.approx(alone["log"], rel=1e-2)
    start, _ = shared_cases.task(name)
    before = flat(start.fitted.state_dict())
    moved = [k for k, v in before.items() if not torch.equal(v, wanted[f".{start.kept_as}{k}"])]
    assert len(moved) > len(before) / 2, "what is compared has been fitted"


@pytest.mark.slow
def test_the_first_process_decides_when_the_time_is_over(of_two: Any) -> None:
    (first, second), _ = of_two
    assert first["minutes"] == second["minutes"]
    assert first["minutes"]["steps"] > 1


@pytest.mark.slow
def test_one_process_goes_on_from_the_checkpoint_of_two(of_two: Any, tmp_path: Path) -> None:
    _, folder = of_two
    shared_cases.fitted("level", ALONE, Budget(epochs=1), tmp_path / "level.pt")
    went_on, alone = (
        shared_cases.fitted("level", ALONE, Budget(epochs=2), path / "level.pt")
        for path in (folder, tmp_path)
    )
    assert went_on["log"]["steps"] == alone["log"]["steps"] == 6
    for key, value in flat(alone["state"]["network"]).items():
        found = flat(went_on["state"]["network"])[key]
        torch.testing.assert_close(found, value, rtol=1e-2, atol=1e-3)
