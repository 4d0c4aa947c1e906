"""What runs of the protocol are tested on: settings, and scikit-learn's digits without a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from drrpack.trainers.incremental.methods.base import Labelled

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


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    """A result less what differs from run to run."""
    phases = [{k: v for k, v in phase.items() if k != "seconds"} for phase in result["phases"]]
    return {k: v for k, v in result.items() if k != "wall_seconds"} | {"phases": phases}
