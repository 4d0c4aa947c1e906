"""What decides a run and its phases: each setting, and for ever the same names of checkpoints."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from protocol_data import DigitsData, small_settings

from drrpack.trainers.incremental.methods import get_method
from drrpack.trainers.incremental.rundir import phase_path
from drrpack.trainers.incremental.settings import RunSettings, plain
from drrpack.trainers.learning.recipes import get_recipe
from drrpack.trainers.learning.resnet import ResNet32

OTHER: dict[str, Any] = {  # a value of each setting that `small_settings` does not have
    "method": get_method("er"),
    "options": get_method("ib-drr").Options(similarity_weight=0.5),  # type: ignore[call-arg]
    "recipe": get_recipe("fast", 2, 4),
    "network": ResNet32,
    "seed": 1,
    "device": torch.device("cuda"),
    "budget_bytes": 1_000_000,
    "exemplars_per_class": 5,
    "test_view": "both",
    "test_augmentation": "flip",
    "compiled": True,
}
CLASSES = {"base", "phases", "class_order"}  # which stand beside it, as the classes of each phase
GROUPS = [(3, 1, 4, 0), (5, 9), (2, 6), (8, 7)]


def test_every_setting_decides() -> None:
    data, settings = DigitsData(8), small_settings("ib-drr")
    assert {one.name for one in fields(RunSettings)} == OTHER.keys() | CLASSES
    before = settings.deciding(data)
    for name, value in OTHER.items():
        other = {"options": None} if name == "method" else {}
        assert replace(settings, **{name: value}, **other).deciding(data) != before, name
    for name in CLASSES:
        value = (1, 0) if name == "class_order" else 2
        assert replace(settings, **{name: value}).deciding(data) == before, name


DECIDING: dict[str, Any] = {
    "data": "digits", "seed": 0, "device": "cpu", "budget_bytes": None, "exemplars_per_class": 20,
    "test_view": "raw", "compiled": False,
}  # fmt: skip
LUCIR = {
    "less_forget": 5.0, "margin": 0.25, "margin_classes": 2, "margin_weight": 1.0,
    "balanced_epochs": 0,
}  # fmt: skip


def test_a_run_is_described_as_it_always_was() -> None:
    data, settings = DigitsData(8), small_settings("lucir", options={"margin": 0.25})
    found = settings.to_json(data, GROUPS)
    assert found == DECIDING | {
        "method": "lucir", "revision": 1, "options": LUCIR,
        "classes": [f"digit {n}" for n in range(10)], "class_order": [3, 1, 4, 0, 5, 9, 2, 6, 8, 7],
        "base": 4, "phases": 3, "groups": [4, 2, 2, 2], "recipe": plain(settings.recipe.to_json()),
        "recipe_changes": found["recipe_changes"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "options", "name", "cut"),
    [
        ("drr", {}, "drr-0006-b85c057b9fbc31ca.pt", {}),
        ("lucir", {"margin": 0.25}, "lucir-0006-dc326dfa5766a6ad.pt", {"groups": [4, 2, 2, 2]}),
    ],
)
def test_a_checkpoint_is_called_as_it_always_was(
    method: str, options: dict[str, Any], name: str, cut: dict[str, Any]
) -> None:
    settings = small_settings(method, options=options)
    key = settings.phase_key(DigitsData(8), GROUPS, [3, 1, 4, 0, 5, 9])
    more = {"options": LUCIR, "revision": 1} if options else {}
    assert key == DECIDING | more | cut | {
        "method": method, "seen": [3, 1, 4, 0, 5, 9], "of": 10,
        "recipe": plain(settings.recipe.to_json()),
    }  # fmt: skip
    assert phase_path(Path(), key).name == name
