"""Numbers as programs have them: those of numpy are taken, and what is none is refused at once."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_memory import GOLDEN_CONTEXT

import drrpack
from drrpack import OptionError
from drrpack.formats.container import Reader
from drrpack.formats.sources.reading import Reading
from drrpack.operations.preparing import LAST_SEED, as_seed, budget, chosen_classes, positive
from drrpack.operations.train_options import RunOptions
from drrpack.trainers.comparison.accuracy import TrainPlan

pytestmark = pytest.mark.usefixtures("one_thread")

comparing = import_module("drrpack.operations.compare")

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
IMAGES = [(Image.fromarray(pixels), number % 2) for number, pixels in enumerate(PIXELS)]


def test_numbers_of_numpy_make_the_same_file(tmp_path: Path) -> None:
    plain: dict[str, Any] = {
        "size": 12, "quality": 60, "raw_per_class": 1, "seed": 3, "max_megapixels": 5,
    }  # fmt: skip
    of_numpy = {name: np.int64(value) for name, value in plain.items()}
    for name, options in (("plain", plain), ("numpy", of_numpy)):
        drrpack.encode(
            IMAGES, tmp_path / f"{name}.drr", codec=GOLDEN_CONTEXT, raw_select="random",
            device="cpu", **options,
        )  # fmt: skip
    assert (tmp_path / "plain.drr").read_bytes() == (tmp_path / "numpy.drr").read_bytes()
    with Reader(tmp_path / "numpy.drr") as reader:
        assert reader.metadata["quality"] == 60 and reader.metadata["raw"]["per_class"] == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seed": -1}, "`seed=-1`: say 0 or more"),
        ({"seed": 1.5}, "`seed=1.5`: say a whole number"),
        ({"seed": LAST_SEED + 1}, f"say {LAST_SEED} or less"),
        ({"seed": True}, "`seed=True`: say a whole number"),
    ],
)
def test_seeds_that_are_none(
    context_drr: Path, tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    before = context_drr.read_bytes()
    for call in (
        lambda: drrpack.encode(IMAGES, tmp_path / "m.drr", **given),
        lambda: drrpack.append(context_drr, IMAGES, **given),
    ):
        with pytest.raises(OptionError) as caught:
            call()
        assert words in str(caught.value) and caught.value.option == "seed"
    assert context_drr.read_bytes() == before and list(tmp_path.iterdir()) == []
    assert as_seed(np.uint64(LAST_SEED)) == LAST_SEED


def test_a_comparison_is_planned_with_numbers_that_json_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans = list[TrainPlan]()

    def planned(source: object, classes: object, plan: TrainPlan) -> None:
        plans.append(plan)
        raise InterruptedError

    monkeypatch.setattr(comparing, "check_groups", planned)
    said = {name: np.int64(2) for name in ("epochs", "width", "seeds", "draws")}
    with pytest.raises(InterruptedError):
        drrpack.compare(IMAGES, train=True, test=IMAGES, device="cpu", **said)  # type: ignore[arg-type]
    with pytest.raises(InterruptedError):
        drrpack.compare(IMAGES, train=True, test=IMAGES, device="cpu")
    said_nothing = TrainPlan(plans[0].device, sizes=[])
    assert plans[1] == said_nothing
    numbers = [plans[0].epochs, plans[0].width, plans[0].seeds, plans[0].draws]
    assert json.dumps(numbers) == "[2, 2, 2, 2]"


def test_half_a_class_is_none() -> None:
    for wanted in ([1.7], [True], [np.bool_(True)], [None]):
        with pytest.raises(OptionError, match="there is no class"):
            chosen_classes(["a", "b"], wanted, print)  # type: ignore[arg-type]
    assert chosen_classes(["a", "b"], [np.int64(1)], print) == [1]  # type: ignore[list-item]


def test_budgets_of_numpy() -> None:
    assert repr(budget(np.int64(3), None, 1.0)) == repr(budget(3, None, 1.0))  # type: ignore[arg-type]
    made = budget(None, np.float32(0.5), 1.0)  # type: ignore[arg-type]
    assert type(made.minutes) is float and made.minutes == 0.5
    for wrong in (np.float32("nan"), np.bool_(True), True, "3", np.int64(0)):
        with pytest.raises(OptionError, match="say a number above zero"):
            positive(minutes=wrong)  # type: ignore[arg-type]


def test_readings_of_numpy_are_recorded() -> None:
    made = Reading(depth=np.int64(12), max_megapixels=np.float32(2.5)).check()  # type: ignore[arg-type]
    assert repr(made) == repr(Reading(depth=12, max_megapixels=2.5))
    made = Reading(value_range=(np.uint16(0), np.float32(0.5))).check()  # type: ignore[arg-type]
    assert repr(made) == repr(Reading(value_range=(0, 0.5)))
    for wrong in (2.5, True):
        with pytest.raises(OptionError, match="expected 1 to 32 bits"):
            Reading(depth=wrong).check()  # type: ignore[arg-type]


def test_numbers_of_a_run_become_pythons_own() -> None:
    given = {
        "base": 2, "seed": 3, "seeds": 2, "exemplars": 5, "epochs": 1, "width": 4,
    }  # fmt: skip
    options = RunOptions(
        method="er", options={}, ceiling=True, phases=[np.int64(1), np.int32(2)], class_order=None,
        recipe="fast", network="resnet18", augmentation="crop", budget_mb=None, test_view="raw",
        test_augmentation="none", compiled=False, device=torch.device("cpu"),
        **{name: np.int64(value) for name, value in given.items()},
    ).check()  # fmt: skip
    found = {name: getattr(options, name) for name in given}
    assert found == given and {type(value) for value in found.values()} == {int}
    assert options.counts == [1, 2] and {type(count) for count in options.counts} == {int}
    assert replace(options, phases=np.array([1, 3])).check().counts == [1, 3]
    for name, words in (("seed", "say a whole number"), ("exemplars", "say a whole number")):
        with pytest.raises(OptionError, match=words):
            replace(options, **{name: 1.5}).check()
    with pytest.raises(OptionError, match="`seed=-1`: say 0 or more"):
        replace(options, seed=-1).check()
