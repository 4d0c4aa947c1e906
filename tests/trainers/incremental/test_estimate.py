"""How long a run will take: what is counted, that it is told, and that it is near the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from protocol_data import SMALL, DigitsData, run, small_settings

from drrpack.cli import telling
from drrpack.operations.progress import Event
from drrpack.trainers.incremental import estimate as estimating
from drrpack.trainers.incremental import protocol
from drrpack.trainers.incremental.estimate import TimeEstimate, estimate, work_left
from drrpack.trainers.incremental.methods import METHODS, gfr, mnemonics
from drrpack.trainers.incremental.run_plan import PlannedRun, plan_run
from drrpack.trainers.incremental.trainings import Training
from drrpack.trainers.learning import feature_gan, speed, training
from drrpack.trainers.learning.batches import Batch, epoch_batches
from drrpack.trainers.learning.feature_gan import GANSettings
from drrpack.trainers.learning.recipes import Recipe, get_recipe
from drrpack.trainers.learning.resnet import ResNet18
from drrpack.trainers.learning.speed import GANPace, seconds_an_image

pytestmark = pytest.mark.usefixtures("one_thread")

# ten classes of eight images: a base of four, two phases of three
PLAN = SMALL | {"base": 4, "phases": 2, "epochs": 3, "exemplars_per_class": 2}


def planned(name: str, out: Path, **more: Any) -> PlannedRun:
    return plan_run(DigitsData(8), small_settings(name, **(PLAN | more)), out)


# options that make every training of a method take part
ALL_PARTS: dict[str, dict[str, object]] = {
    "lucir": {"balanced_epochs": 2},
    "mnemonics": {"balanced_epochs": 4, "exemplar_epochs": 2},
    "der": {"head_epochs": 2},
    "foster": {"compression_epochs": 2},
    "gfr": {"gan_epochs": 1, "hidden": 16, "noise": 4},
}


@pytest.mark.parametrize(
    ("name", "exemplars"), [*((name, 2) for name in sorted(METHODS)), ("er", 20), ("icarl", 20)]
)
def test_each_method_trains_what_it_forecasts(
    name: str, exemplars: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in images and steps of all epochs. Classes have no more than eight images."""
    kept = {"exemplars_per_class": exemplars}
    more = PLAN | kept | {"options": ALL_PARTS.get(name, {}), "epochs": 2, "width": 2}
    settings = small_settings(name, **more)
    settings = replace(settings, recipe=replace(settings.recipe, batch_size=16))
    forecast = forecast_of(plan_run(DigitsData(8), settings, tmp_path))
    forecast = [one for one in forecast if one.pace is None]
    counted = count_batches(monkeypatch)
    protocol.run(DigitsData(8), settings, tmp_path)
    assert sum(counted) == sum(one.images * one.epochs for one in forecast)
    assert len(counted) == sum(math.ceil(one.images / 16) * one.epochs for one in forecast)


def test_the_gan_takes_the_steps_of_its_forecast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"gan_epochs": 3, "hidden": 16, "noise": 4}
    settings = small_settings("gfr", **(PLAN | {"options": options, "epochs": 1, "width": 2}))
    forecast = forecast_of(plan_run(DigitsData(8), settings, tmp_path))
    of_gan = [one for one in forecast if one.pace is not None]
    sizes, stepped = {"features": 16, "classes": 10, "noise": 4, "hidden": 16}, list[int]()
    # after the base of four classes and the first three
    assert of_gan == [
        Training(8 * classes, 3, pace=GANPace(**sizes, keeps=keeps))
        for classes, keeps in ((4, False), (3, True))
    ]
    honest = gfr.GANSettings
    monkeypatch.setattr(gfr, "GANSettings", lambda **given: honest(batch_size=10, **given))
    penalty = feature_gan.gradient_penalty

    def counted(critic: Any, features: Any, labels: Any) -> Any:
        stepped.append(len(features))
        return penalty(critic, features, labels)

    monkeypatch.setattr(feature_gan, "gradient_penalty", counted)
    protocol.run(DigitsData(8), settings, tmp_path)
    assert len(stepped) == sum(math.ceil(one.images / 10) * one.epochs for one in of_gan) == 21
    assert sum(stepped) == sum(one.images * one.epochs for one in of_gan)


@pytest.mark.parametrize("name", ["drr", "drr-soft", "er", "icarl"])
def test_a_budget_is_in_the_forecast(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # beside the network or the models there is room for some of the eight images of each class
    budget = 49_100 if name in ("er", "icarl") else 73_000
    settings = small_settings(name, **PLAN | {"width": 2, "budget_bytes": budget})
    forecast = forecast_of(plan_run(DigitsData(8), settings, tmp_path / "budget"))
    without = replace(settings, budget_bytes=None, exemplars_per_class=8)
    all_kept = forecast_of(plan_run(DigitsData(8), without, tmp_path / "all"))
    counted = count_batches(monkeypatch)
    protocol.run(DigitsData(8), settings, tmp_path / "budget")
    images, of_all = (sum(one.images * one.epochs for one in of) for of in (forecast, all_kept))
    assert images == pytest.approx(sum(counted), rel=0.1)
    if name != "er":  # which repeats what it keeps
        assert images < 0.9 * of_all


def forecast_of(planned: PlannedRun) -> list[Training]:
    """The trainings of all phases."""
    method = planned.settings.new_method()
    return [one for context in planned.contexts for one in method.trainings(context)]


def count_batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The list that receives the size of each batch from now on."""
    counted = list[int]()

    def batches(*given: Any) -> Iterator[Batch]:
        for batch in epoch_batches(*given):
            counted.append(len(batch.labels))
            yield batch

    for module in (training, mnemonics, gfr):
        monkeypatch.setattr(module, "epoch_batches", batches)
    return counted


@pytest.mark.parametrize(
    ("name", "options", "work"),
    [
        ("drr", {}, 3 * 8 * (4 + 7 + 10)),
        ("ub", {}, 3 * 8 * (4 + 7 + 10)),
        ("er-jpeg", {}, 3 * 8 * (4 + 7 + 10)),
        ("finetune", {}, 3 * 8 * (4 + 3 + 3)),
        # of exemplars first three times 8, then twice 14
        ("er", {}, 3 * (32 + (24 + 24) + (24 + 28))),
        # with a teacher, whose forward pass is a third of a step
        ("lwf", {}, 3 * (32 + (24 + 24) * 4 / 3)),
        # and eight views of what the GAN learns, which go forward
        ("gfr", {}, 3 * (32 + (24 + 24) * 4 / 3) + 8 * (32 + 24) / 3),
        ("icarl", {}, 3 * (32 + (24 + 8 + 24 + 14) * 4 / 3)),
        ("lucir", {}, 3 * (32 + (24 + 8 + 24 + 14) * 4 / 3)),
        # two networks go forward and one back; then three forward and one back
        ("foster", {}, 3 * (32 + (24 + 8 + 24 + 14) * (4 + 5) / 3)),
        # one, two and three branches go forward, and one back; with them the head's trainings
        ("der", {"head_epochs": 0}, 3 * (32 + (24 + 8) * 4 / 3 + (24 + 14) * 5 / 3)),
        ("der", {}, 3 * (32 + 32 * 4 / 3 + 38 * 5 / 3) + 30 * (14 * 2 / 3 + 20 * 3 / 3)),
        # the same of the last of four stages; the other three go forward once
        ("memo", {}, 3 * (32 + 32 * (3 + 2 + 2) / 12 + 38 * (3 + 3 + 2) / 12)),
        # as lucir; exemplars of four and three classes go forward and back to their pixels
        (
            "mnemonics",
            {"exemplar_epochs": 1},
            3 * (32 + 70 * 4 / 3) + (32 + 24 + 24) / 3 + 2 * (4 + 3 + 3) * 2 / 3,
        ),
        ("ib-drr-star", {}, 3 * (8 * (4 + 7 + 10) + 8 * (4 + 3 + 3) / 3)),
        # two exemplars of each old class beside them
        ("ib-drr", {}, 3 * (8 * (4 + 7 + 10) + (8 * (4 + 3 + 3) + 2 * (4 + 7)) / 3)),
    ],
)
def test_the_work_of_each_method_by_hand(
    name: str, options: dict[str, object], work: float, tmp_path: Path
) -> None:
    found = work_left([planned(name, tmp_path, options=options)], 3)
    assert found == pytest.approx(work)


def test_fewer_epochs_shorten_what_follows_the_recipe(tmp_path: Path) -> None:
    run_of_der = planned("der", tmp_path)
    assert work_left([run_of_der], 3) - work_left([run_of_der], 1) == pytest.approx(
        2 * (32 + 32 * 4 / 3 + 38 * 5 / 3)
    )


def test_phases_that_are_done_or_shared_do_not_count_again(tmp_path: Path) -> None:
    one = planned("drr", tmp_path / "one")
    assert work_left([one, one], 3) == work_left([one], 3)
    run(DigitsData(8), "drr", out=tmp_path / "one", **PLAN)
    again = plan_run(DigitsData(8), small_settings("drr", **PLAN), tmp_path / "one", resume=True)
    assert work_left([again], 3) == 0 and estimate([again]) is None
    one.paths[-1].unlink()
    assert work_left([again], 3) == 3 * 8 * 10


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
        images * 1.5, epochs=1, fewer_seconds=images * 0.5, width=3,
        narrower_seconds=images * 0.75, device=torch.device("cpu"),
    )  # fmt: skip


def test_the_time_of_a_gan_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not depend on the epochs of the recipe, and is measured once for each size."""
    monkeypatch.setattr(estimating, "WORTH_IT", 1)
    monkeypatch.setattr(estimating, "seconds_an_image", lambda *_: 1.0)
    measured = list[GANPace]()

    def a_feature(pace: GANPace, device: torch.device) -> float:
        measured.append(pace)
        return pace.features + 1000.0 * pace.keeps

    monkeypatch.setattr(GANPace, "__call__", a_feature)
    more = {"width": 2, "options": {"gan_epochs": 5}}
    found = estimate([planned("gfr", tmp_path / str(n), **more) for n in range(2)])
    assert found is not None
    images, fewer = (2 * (epochs * (32 + 48 * 4 / 3) + 8 * 56 / 3) for epochs in (3, 1))
    wide, narrow = (2 * 5 * (32 * size + 24 * (size + 1000)) for size in (16, 8))
    times = found.seconds, found.fewer_seconds, found.narrower_seconds
    assert times == pytest.approx((images + wide, fewer + wide, images + narrow))
    assert sorted((one.features, one.keeps) for one in measured) == [
        (8, False), (8, True), (16, False), (16, True),
    ]  # fmt: skip


@pytest.mark.parametrize("keeps", [False, True])
def test_the_pace_of_a_gan_on_a_clock(monkeypatch: pytest.MonkeyPatch, keeps: bool) -> None:
    """That only its trainings move: 100 seconds to begin with, then two for each feature."""
    now = [0.0]

    def train(
        generator: Any, critic: Any, features: torch.Tensor, labels: torch.Tensor,
        settings: GANSettings, *, last: Any, **_: Any,
    ) -> None:  # fmt: skip
        assert (last is not None) == keeps
        now[0] += 100.0 * (now[0] == 0) + 2.0 * features.shape[1] * settings.epochs

    monkeypatch.setattr(speed, "train_gan", train)
    monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])
    assert GANPace(16, 10, 4, 8, keeps)(torch.device("cpu")) == 2.0
    monkeypatch.undo()
    assert 0 < GANPace(16, 10, 4, 8, keeps)(torch.device("cpu")) < 1


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
    event: Event = TimeEstimate(7200.0, 15, 3600.0, 32, 2400.0, torch.device("cpu"))
    telling.tell(event)
    said = " ".join(capsys.readouterr().out.split())
    assert said == (
        "about 2:00:00 of training on cpu; with --epochs 15 1:00:00, with --width 32 40:00"
    )


def test_what_takes_hardly_less_is_no_advice(capsys: pytest.CaptureFixture[str]) -> None:
    telling.tell(TimeEstimate(7200.0, 1, 7000.0, 32, 7100.0, torch.device("cpu")))
    assert " ".join(capsys.readouterr().out.split()) == "about 2:00:00 of training on cpu"
