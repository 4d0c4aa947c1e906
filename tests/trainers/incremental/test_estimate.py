"""How long a run will take: what is counted, that it is told, and that it is near the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from protocol_data import SMALL, DigitsData, run, small_settings

from drrpack.cli import telling
from drrpack.operations.progress import Event
from drrpack.trainers.incremental import estimate as estimating
from drrpack.trainers.incremental.estimate import TimeEstimate, estimate, images_to_train
from drrpack.trainers.incremental.run_plan import PlannedRun, plan_run
from drrpack.trainers.learning import speed
from drrpack.trainers.learning.recipes import Recipe, get_recipe
from drrpack.trainers.learning.resnet import ResNet18
from drrpack.trainers.learning.speed import seconds_an_image

pytestmark = pytest.mark.usefixtures("one_thread")

# ten classes of eight images: a base of four, two phases of three
PLAN = SMALL | {"base": 4, "phases": 2, "epochs": 3, "exemplars_per_class": 2}


def planned(name: str, out: Path, **more: Any) -> PlannedRun:
    return plan_run(DigitsData(8), small_settings(name, **(PLAN | more)), out)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("drr", 8 * (4 + 7 + 10)),
        ("ub", 8 * (4 + 7 + 10)),
        ("er-jpeg", 8 * (4 + 7 + 10)),
        ("finetune", 8 * (4 + 3 + 3)),
        ("er", 8 * (4 + 2 * 3 + 2 * 3)),
        ("lucir", 8 * (4 + 3 + 3) + 2 * (4 + 7)),
        ("der", 8 * (4 + 3 + 3) + 2 * (4 + 7)),
        ("ib-drr-star", 8 * (4 + 7 + 10) + 8 * (4 + 3 + 3)),
    ],
)
def test_the_images_of_each_method_by_hand(name: str, images: int, tmp_path: Path) -> None:
    assert images_to_train([planned(name, tmp_path)]) == 3 * images


def test_phases_that_are_done_or_shared_do_not_count_again(tmp_path: Path) -> None:
    one = planned("drr", tmp_path / "one")
    assert images_to_train([one, one]) == images_to_train([one])
    run(DigitsData(8), "drr", out=tmp_path / "one", **PLAN)
    again = plan_run(DigitsData(8), small_settings("drr", **PLAN), tmp_path / "one", resume=True)
    assert images_to_train([again]) == 0 and estimate([again]) is None
    one.paths[-1].unlink()
    assert images_to_train([again]) == 3 * 8 * 10


def test_short_runs_are_not_timed(tmp_path: Path) -> None:
    assert estimate([planned("drr", tmp_path)]) is None


def test_it_is_the_pace_times_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "WORTH_IT", 1)
    asked = []

    def pace(make: Any, classes: int, size: Any, recipe: Recipe, device: Any) -> float:
        asked.append((type(make()).__name__, make().feature_size, classes, size, recipe.width))
        return 0.25 * recipe.width

    monkeypatch.setattr(estimating, "seconds_an_image", pace)
    found = estimate([planned("drr", tmp_path, width=6)])
    assert asked == [("ResNet18", 48, 10, (16, 16), 6), ("ResNet18", 24, 10, (16, 16), 3)]
    images = 3 * 8 * (4 + 7 + 10)
    assert found == TimeEstimate(
        images * 1.5, epochs=3, width=6, narrower=3, narrower_seconds=images * 0.75,
        device=torch.device("cpu"),
    )  # fmt: skip


def test_the_first_step_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only training moves: 100 seconds to begin with, then two for each image."""
    now = [0.0]

    def train(network: Any, images: Any, *_: Any, recipe: Recipe, **options: Any) -> None:
        now[0] += 100.0 * (now[0] == 0) + 2.0 * len(images) * recipe.epochs

    monkeypatch.setattr(speed, "train_network", train)
    monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])
    recipe = get_recipe("fast", 30, 4)
    found = seconds_an_image(lambda: ResNet18(10, 4), 10, (32, 32), recipe, torch.device("cpu"))
    assert found == 2.0


def test_it_really_trains() -> None:
    recipe = get_recipe("fast", 30, 4)
    found = seconds_an_image(lambda: ResNet18(10, 4), 10, (8, 8), recipe, torch.device("cpu"))
    assert 0 < found < 10


def test_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    event: Event = TimeEstimate(7200.0, 30, 64, 32, 2400.0, torch.device("cpu"))
    telling.tell(event)
    said = " ".join(capsys.readouterr().out.split())
    assert said == (
        "about 2:00:00 of training on cpu; with --epochs 15 1:00:00, with --width 32 40:00"
    )
