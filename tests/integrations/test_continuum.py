"""The recipe for Continuum in docs/integrations.md."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from drrpack import DRRDataset

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what Continuum imports
    continuum = pytest.importorskip("continuum", reason="pip install continuum")
    from continuum.datasets import InMemoryDataset

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("default")]


def test_tasks_of_two_classes(digits_drr: Path) -> None:
    memory = DRRDataset(digits_drr, classes=[*"0123"])
    x, y = memory.to_numpy()
    scenario = continuum.ClassIncremental(InMemoryDataset(x, y), increment=2)
    assert scenario.nb_tasks == 2
    for number, task in enumerate(scenario):
        images, labels, _ = task.get_raw_samples()
        expected = np.isin(y, [2 * number, 2 * number + 1])
        assert np.array_equal(images, x[expected]) and np.array_equal(labels, y[expected])
