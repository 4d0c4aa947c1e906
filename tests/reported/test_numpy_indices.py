"""Reported: huggingface/datasets#7423: an index that numpy had made raised a TypeError, where the
same number of Python's was taken.

Right: a whole number is an index whoever made it, numpy or torch; what is none is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drrpack import DRRDataset

FIVE = (np.int8(5), np.uint64(5), np.array(5), torch.tensor(5), torch.tensor(5, dtype=torch.uint8))


@pytest.fixture(scope="module")
def dataset(shared_drr: Path) -> DRRDataset:
    return DRRDataset(shared_drr)


@pytest.mark.parametrize("five", FIVE, ids=lambda five: f"{type(five).__name__}-{five.dtype}")
def test_a_number_is_a_number(dataset: DRRDataset, five: Any) -> None:
    image, label = dataset[five]
    assert torch.equal(image, dataset[5][0]) and label == 0 and type(label) is int
    np.testing.assert_array_equal(dataset.pixels([five, -1]), dataset.pixels([5, 17]))
    assert DRRDataset(dataset.reader.path, classes=[five // five]).classes == ["dog"]


def test_many_numbers(dataset: DRRDataset) -> None:
    where = [3, 17, 0]
    for many in (np.array(where), np.array(where, np.uint8), torch.tensor(where), tuple(where)):
        np.testing.assert_array_equal(dataset.pixels(many), dataset.pixels(where))


@pytest.mark.parametrize("wrong", [5.0, np.float32(5), torch.tensor(5.0), "5", None, [5], b"5"])
def test_what_is_none(dataset: DRRDataset, wrong: Any) -> None:
    with pytest.raises(TypeError, match="whole number") as caught:
        dataset[wrong]
    assert str(dataset.reader.path) in str(caught.value)
