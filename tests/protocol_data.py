"""What runs of the protocol are tested on: settings, and scikit-learn's digits without a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from drrpack.core.arrays import Labelled
from drrpack.trainers.incremental import protocol
from drrpack.trainers.incremental.methods import Method, get_method
from drrpack.trainers.incremental.options import make_options
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.run_progress import Report
from drrpack.trainers.incremental.settings import RunSettings
from drrpack.trainers.learning.recipes import get_recipe

datasets = pytest.importorskip("sklearn.datasets")

ORDER = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
SMALL: dict[str, Any] = {
    "base": 4,
    "phases": 3,
    "class_order": ORDER,
    "epochs": 1,
    "width": 4,
    "device": "cpu",
}


class DigitsData:
    """scikit-learn's digits as 16x16 colour images, a class ``count`` to train on, 20 to test."""

    fingerprint = "digits"
    codec_classes: Sequence[str] = ()

    def __init__(self, count: int = 40) -> None:
        digits = datasets.load_digits()
        pixels = np.clip(digits.images * 16, 0, 255).astype(np.uint8)
        self.images = np.stack([pixels.repeat(2, 1).repeat(2, 2)] * 3, -1)  # (N, 16, 16, 3)
        self.labels = digits.target.astype(np.int64)
        self.count = count
        self.classes = [f"digit {index}" for index in range(10)]
        self.memory_bytes = {"payload": 5000, "models": 70000}
        self.counts = [count] * 10

    def ranking(self, label: int) -> npt.NDArray[np.int64]:
        return np.arange(self.count)[::-1].copy()

    def exemplars(self, label: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        positions = np.arange(1, self.count, 4)
        return positions, self.raw([label])[0][positions]

    def _pick(self, classes: Sequence[int], start: int, stop: int) -> Labelled:
        rows: npt.NDArray[np.int64] = np.concatenate(
            [np.flatnonzero(self.labels == index)[start:stop] for index in classes]
        )
        return self.images[rows], self.labels[rows]

    def after(self, seen: Sequence[int]) -> DigitsData:
        return self

    def raw(self, classes: Sequence[int]) -> Labelled:
        return self._pick(classes, 20, 20 + self.count)

    def replayed(self, classes: Sequence[int]) -> Labelled:
        images, labels = self.raw(classes)
        return images // 64 * 64, labels  # a lossy memory

    def test(self, classes: Sequence[int]) -> Labelled:
        return self._pick(classes, 0, 20)

    def test_through_codec(self, classes: Sequence[int]) -> Labelled:
        images, labels = self.test(classes)
        return images // 64 * 64, labels


# of methods whose own trainings would take most of a test
QUICK_OPTIONS: dict[str, dict[str, object]] = {
    "gfr": {"gan_epochs": 3, "hidden": 16, "noise": 4},
    "mnemonics": {"balanced_epochs": 2},
}


def small_settings(method: str | type[Method], **changes: Any) -> RunSettings:
    """Settings of a small run, by the names that `drrpack.train` has for them."""
    given = SMALL | changes
    recipe = get_recipe(
        given.pop("recipe", "fast"), given.pop("epochs"), given.pop("width"),
        given.pop("augmentation", "crop"),
    )  # fmt: skip
    order, kind = given.pop("class_order"), get_method(method)
    wanted = given.pop("options", QUICK_OPTIONS.get(kind.name, {}))
    options = make_options(kind.Options, kind.name, wanted)
    device = torch.device(given.pop("device"))
    return RunSettings(
        method=kind,
        options=options,
        recipe=recipe,
        device=device,
        class_order=None if order is None else tuple(order),
        **given,
    )


def run(
    data: Any,
    method: str | type[Method],
    *,
    out: Path,
    resume: bool = False,
    checkpoints: Path | None = None,
    report: Report | None = None,
    **changes: Any,
) -> Result:
    """A small run of the protocol."""
    settings = small_settings(method, **changes)
    return protocol.run(data, settings, out, resume=resume, checkpoints=checkpoints, report=report)


def without_times(result: Result) -> Result:
    """A result less what differs from run to run."""
    phases = [replace(phase, seconds=0.0) for phase in result.phases]
    return replace(result, wall_seconds=0.0, phases=phases)
