"""Reported: pytorch/pytorch#33101: one element of a batch, kept or saved, took as much as the whole
batch, as it was a view of it.

Right: an item owns its bytes: what is kept of a batch takes what it shows, in memory and in a file.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from drrpack import DRRDataset

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "context.drr"
IMAGE_BYTES = 3 * 32 * 32

pytestmark = pytest.mark.usefixtures("one_thread")


def saved(tensor: Tensor) -> int:
    file = io.BytesIO()
    torch.save(tensor, file)
    return len(file.getvalue())


@pytest.mark.parametrize("raw", [None, "pairs"])
@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_an_item_of_a_batch(raw: Any, cache_bytes: int) -> None:
    dataset = DRRDataset(GOLDEN, raw=raw, cache_bytes=cache_bytes)
    for _ in range(2):  # decoded, and from the cache
        items = dataset.__getitems__(range(len(dataset)))
        images = [image for *several, _ in items for image in several]
        assert len(items) > 5 and len({image.data_ptr() for image in images}) == len(images)
        for image in (images[0], images[-1]):
            assert image.untyped_storage().nbytes() == image.nbytes == IMAGE_BYTES
            assert image.is_contiguous() and image.storage_offset() == 0
            assert len(pickle.dumps(image)) < IMAGE_BYTES + 1000
            assert saved(image) < IMAGE_BYTES + 2000


def test_an_item_that_is_changed_changes_no_other() -> None:
    dataset = DRRDataset(GOLDEN)
    (first, _), (again, _), (second, _) = dataset.__getitems__([0, 0, 1])
    kept = second.clone()
    first.zero_()
    assert again.any() and torch.equal(second, kept) and dataset[0][0].any()


def test_transforms_get_images_of_their_own() -> None:
    dataset = DRRDataset(GOLDEN, transform=lambda image: image[:, :16])
    image, _ = dataset.__getitems__(range(100))[50]
    assert image.untyped_storage().nbytes() == IMAGE_BYTES


def test_codes_are_no_view_of_all_codes() -> None:
    dataset = DRRDataset(GOLDEN)
    for level in dataset.codes([5, 100]):
        assert level.untyped_storage().nbytes() == level.nbytes
