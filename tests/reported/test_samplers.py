"""Reported: pytorch/pytorch#37409: a data set that worked alone failed as a subset under a sampler
of whole batches.

Right: whatever torch.utils.data puts around a memory, subsets of subsets, splits, sums, samplers
of images and of batches, gives the images that are meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)

from drrpack import DRRDataset


@pytest.fixture(scope="module")
def dataset(shared_drr: Path) -> DRRDataset:
    return DRRDataset(shared_drr)


@pytest.fixture(scope="module")
def images(dataset: DRRDataset) -> Tensor:
    """One after the other, by no loader: (N, 3, H, W)."""
    return torch.stack([dataset[index][0] for index in range(len(dataset))])


def drawn(dataset: Any, **options: Any) -> tuple[list[int], Tensor, Tensor]:
    """Sizes of batches, and all images and labels, of a loader."""
    batches = list(DataLoader(dataset, **options))
    sizes = [len(labels) for _, labels in batches]
    return sizes, torch.cat([i for i, _ in batches]), torch.cat([j for _, j in batches])


def same(found: tuple[list[int], Tensor, Tensor], images: Tensor, where: Any) -> None:
    where = torch.as_tensor(where)
    torch.testing.assert_close(found[1], images[where], rtol=0, atol=0)
    assert found[2].tolist() == (where // 6).tolist() and found[2].dtype == torch.int64


def test_batches(dataset: DRRDataset, images: Tensor) -> None:
    whole = drawn(dataset, batch_size=7, pin_memory=False)
    assert whole[0] == [7, 7, 4]
    same(whole, images, range(18))
    short = drawn(dataset, batch_size=7, drop_last=True, collate_fn=default_collate)
    assert short[0] == [7, 7]
    same(short, images, range(14))
    batches = BatchSampler(SequentialSampler(range(3, 18, 2)), 3, drop_last=False)
    picked = drawn(Subset(dataset, range(3, 18, 2)), batch_sampler=batches)
    assert picked[0] == [3, 3, 2]
    same(picked, images, range(3, 18, 2))


def test_samplers(dataset: DRRDataset, images: Tensor) -> None:
    weights = [1.0 if target == 1 else 0.0 for target in dataset.targets]
    order = list(WeightedRandomSampler(weights, 20, generator=torch.Generator().manual_seed(1)))
    weighted = WeightedRandomSampler(weights, 20, generator=torch.Generator().manual_seed(1))
    same(drawn(dataset, batch_size=8, sampler=weighted), images, order)
    assert set(drawn(dataset, batch_size=8, sampler=weighted)[2].tolist()) == {1}
    order = list(RandomSampler(dataset, generator=torch.Generator().manual_seed(2)))
    shuffled = drawn(
        dataset, batch_size=5, shuffle=True, generator=torch.Generator().manual_seed(2)
    )
    assert sorted(shuffled[2].tolist()) == dataset.targets and len(order) == 18


def test_parts_and_sums(dataset: DRRDataset, images: Tensor) -> None:
    parts = random_split(dataset, [0.5, 0.5], generator=torch.Generator().manual_seed(3))
    assert sorted([*parts[0].indices, *parts[1].indices]) == list(range(18))
    for part in parts:
        same(drawn(part, batch_size=4), images, part.indices)
        inner = Subset(part, [4, 0, 4])
        same(drawn(inner, batch_size=2), images, [part.indices[i] for i in (4, 0, 4)])
    both = ConcatDataset([Subset(dataset, [17, 2]), dataset])
    same(drawn(both, batch_size=6), images, [17, 2, *range(18)])
    torch.testing.assert_close(both[-1][0], images[-1], rtol=0, atol=0)


def test_a_list_is_no_index(dataset: DRRDataset) -> None:
    """As batch_size=None makes the loader ask: no data set of torchvision takes it, either."""
    whole = BatchSampler(SequentialSampler(dataset), 4, drop_last=False)
    with pytest.raises(TypeError, match=r"index of type list.*pixels"):
        list(DataLoader(dataset, batch_size=None, sampler=whole))
