"""The batched flip and crop against one image at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from drrpack.trainers.learning.augment import Draws, crop_pad, draw, flip_and_crop, flip_and_shift


def slow(image: Tensor, top: int, left: int, flip: bool, pad: int, mode: Any) -> Tensor:
    """One image (H, W, C): pad, cut, mirror."""
    height, width, _ = image.shape
    padded = np.pad(image.numpy(), ((pad, pad), (pad, pad), (0, 0)), mode)
    cut = padded[top : top + height, left : left + width]
    return torch.from_numpy((cut[:, ::-1] if flip else cut).copy())


@pytest.mark.parametrize(
    ("batched", "mode"), [(flip_and_crop, "constant"), (flip_and_shift, "reflect")]
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("height", "width", "pad"), [(8, 8, 1), (12, 9, 4), (32, 32, 4)])
def test_like_one_image_at_a_time(
    batched: Callable[[Tensor, Draws, int], Tensor],
    mode: str,
    dtype: torch.dtype,
    height: int,
    width: int,
    pad: int,
) -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(1, 256, (40, height, width, 3), generator=generator).to(dtype)
    draws = draw(40, pad, generator)
    result = batched(images, draws, pad)
    assert result.dtype == dtype
    rows = zip(images, draws.top.tolist(), draws.left.tolist(), draws.flip.tolist(), strict=True)
    for one, (image, top, left, flip) in zip(result, rows, strict=True):
        assert torch.equal(one, slow(image, top, left, flip, pad, mode))


def test_every_crop_and_flip_comes_up() -> None:
    draws = draw(4000, 4, torch.Generator().manual_seed(0))
    counts = torch.bincount(draws.top * 9 + draws.left, minlength=81)
    assert counts.shape == (81,) and counts.min() > 20
    assert 0.45 < draws.flip.float().mean() < 0.55


def test_the_middle_crop_without_flip_is_the_image() -> None:
    images = torch.arange(2 * 5 * 6 * 3).reshape(2, 5, 6, 3)
    middle = Draws(
        torch.tensor([4, 4]), torch.tensor([4, 4]), torch.tensor([False, True]), torch.zeros(2)
    )
    result = flip_and_crop(images, middle, 4)
    assert torch.equal(result[0], images[0])
    assert torch.equal(result[1], images[1].flip(1))


def test_padding_follows_the_size() -> None:
    assert [crop_pad(side, side) for side in (4, 8, 16, 32, 64)] == [1, 1, 2, 4, 8]
