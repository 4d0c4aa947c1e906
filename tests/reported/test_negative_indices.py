"""Reported: pytorch/pytorch#15756: a negative index gave the image at the end of another part.

Right: it counts from the end of what is asked, as in a list, and beyond the end is an IndexError,
on either side, so that a loop over the data set ends.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drrpack import DRRDataset


@pytest.mark.parametrize("classes", [None, ["eel", "cat"]])
def test_it_counts_from_the_end(shared_drr: Path, classes: list[str] | None) -> None:
    dataset = DRRDataset(shared_drr, classes=classes)
    count = len(dataset)
    every = [dataset[index] for index in range(count)]
    for index in range(-count, 0):
        image, label = dataset[index]
        expected, expected_label = every[count + index]
        np.testing.assert_array_equal(image, expected)
        assert label == expected_label == dataset.targets[index]
    for outside in (count, -count - 1, 2**40, -(2**70)):
        with pytest.raises(IndexError, match=f"{count} images"):
            dataset[outside]
    assert sum(1 for _ in dataset) == count  # type: ignore[attr-defined]
