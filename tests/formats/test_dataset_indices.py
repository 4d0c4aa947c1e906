"""What is an index of a `DRRDataset`, and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from drrpack import DRRDataset

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_negative_index_counts_from_the_end(dataset: DRRDataset) -> None:
    for negative, index in ((-1, 299), (-300, 0)):
        torch.testing.assert_close(dataset[negative], dataset[index], rtol=0, atol=0)


@pytest.mark.parametrize("index", [300, -301, 10**9])
def test_an_index_outside_is_an_index_error(dataset: DRRDataset, index: int) -> None:
    with pytest.raises(IndexError, match="300 images"):
        dataset[index]
    with pytest.raises(IndexError):
        dataset.pixels([0, index])
    with pytest.raises(IndexError):
        dataset.codes([index])


@pytest.mark.parametrize("as_list", [False, True])
def test_a_mask_means_the_items_it_marks(
    dataset: DRRDataset, pixels: NDArray[np.uint8], as_list: bool
) -> None:
    mask = np.array(dataset.targets) == 3
    given: Any = mask.tolist() if as_list else mask
    np.testing.assert_array_equal(dataset.pixels(given), pixels[90:120])
    np.testing.assert_array_equal(dataset.pixels(torch.from_numpy(mask)), pixels[90:120])
    for some, every in zip(dataset.codes(given), dataset.codes(range(300)), strict=True):
        assert torch.equal(some, every[90:120])
    assert len(dataset.__getitems__(given)) == 30
    assert dataset.pixels(~np.ones(300, bool)).shape == (0, 32, 32, 3)


@pytest.mark.parametrize("shape", [(0,), (2,), (299,), (301,), (300, 1), (1, 300)])
def test_a_mask_of_another_shape(dataset: DRRDataset, shape: tuple[int, ...]) -> None:
    for read in (dataset.pixels, dataset.codes, dataset.__getitems__):
        with pytest.raises(IndexError, match=r"300 images; a mask of shape .*give one of \(300,\)"):
            read(np.ones(shape, bool))


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64, np.int64, object])
def test_whole_numbers_of_any_type(
    dataset: DRRDataset, pixels: NDArray[np.uint8], kind: Any
) -> None:
    where = np.array([7, 0, 100, 7], kind)
    np.testing.assert_array_equal(dataset.pixels(where), pixels[[7, 0, 100, 7]])
    np.testing.assert_array_equal(dataset.pixels(list(where)), pixels[[7, 0, 100, 7]])
    np.testing.assert_array_equal(dataset[where[2]][0].permute(1, 2, 0), pixels[100])


def test_tensors_are_indices(dataset: DRRDataset, pixels: NDArray[np.uint8]) -> None:
    where = torch.tensor([299, 5, -1])
    np.testing.assert_array_equal(dataset.pixels(where), pixels[[299, 5, 299]])
    np.testing.assert_array_equal(dataset.pixels(list(where)), pixels[[299, 5, 299]])
    np.testing.assert_array_equal(dataset[where[1]][0].permute(1, 2, 0), pixels[5])


@pytest.mark.parametrize("large", [2**63, 2**64 - 1, 10**30, -(10**30)])
def test_numbers_too_large_for_an_index(dataset: DRRDataset, large: int) -> None:
    with pytest.raises(IndexError, match=f"300 images; {large} is outside"):
        dataset.pixels([large])


@pytest.mark.parametrize("wrong", [[1.7], [0.0, 1.0], 1.7, "3", ["3"], [None], None, {1}, [1, "3"]])
def test_what_is_no_index(dataset: DRRDataset, wrong: Any) -> None:
    for read in (dataset.pixels, dataset.codes, dataset.__getitems__):
        with pytest.raises(TypeError, match="300 images"):
            read(wrong)


@pytest.mark.parametrize("wrong", [1.7, "3", None, [5], [200, 5], [], slice(3), np.arange(2)])
def test_an_item_has_one_index(dataset: DRRDataset, wrong: Any) -> None:
    with pytest.raises(TypeError, match="one whole number; for several images call pixels"):
        dataset[wrong]
