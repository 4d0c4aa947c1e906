"""Random flip and crop of whole batches, on the device that holds the pixels.

torchvision's transforms draw once for a batch or once for a picture on the CPU, from the global
random state. Here each image of a batch on a GPU has a draw of its own, which comes from a seed and
can be used again for the raw image behind a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """What chance decides for N images: rows and columns of the crop in 0..2*pad, flips, and seeds
    of what is stronger."""

    top: Tensor  # (N,) int64
    left: Tensor  # (N,) int64
    flip: Tensor  # (N,) bool
    seeds: Tensor  # (N,) int64

    def __getitem__(self, indices: Tensor) -> Draws:
        return Draws(*(part[indices] for part in self._parts))

    def to(self, device: torch.device) -> Draws:
        return Draws(*(part.to(device) for part in self._parts))

    @property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.top, self.left, self.flip, self.seeds


def crop_pad(height: int, width: int) -> int:
    """Pixels of padding before the random crop: an eighth of the side.

    That is 4 for 32x32 (the customary 'pad 4') and 8 for 64x64, and does not throw half of an
    8x8 image away.
    """
    return max(1, round(min(height, width) / 8))


def draw(count: int, pad: int, generator: torch.Generator, *, strong: bool = False) -> Draws:
    """Crops and flips for ``count`` images, drawn on the CPU so that every device sees the same;
    and seeds where ``strong`` augmentation needs them."""
    corner = torch.randint(0, 2 * pad + 1, (2, count), generator=generator)
    flip = torch.rand(count, dtype=torch.float32, generator=generator) < 0.5
    seeds = torch.zeros(count, dtype=torch.int64)
    if strong:
        seeds = torch.randint(2**31, (count,), generator=generator)
    return Draws(corner[0], corner[1], flip, seeds)


def flip_and_crop(images: Tensor, draws: Draws, pad: int) -> Tensor:
    """Pad with zeros, cut the drawn window out, mirror it where drawn.

    ``images`` and the result are (B, H, W, C) of any type. Zero is black in uint8 pixels, as in
    torchvision's RandomCrop(padding=4) before normalisation.
    """
    padded = F.pad(images, (0, 0, pad, pad, pad, pad))  # (B, H + 2p, W + 2p, C)
    return _cut(padded, *_window(images, draws))


def flip_and_shift(images: Tensor, draws: Draws, pad: int) -> Tensor:
    """As `flip_and_crop`, but what comes in at a border is the image's own mirror image: such
    images look like others of their kind. ``pad`` is less than their sides."""
    rows, columns = _window(images, draws)
    height, width = images.shape[1:3]
    return _cut(images, _reflected(rows - pad, height), _reflected(columns - pad, width))


def _window(images: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """The rows (B, H) and columns (B, W) of each window, in a padded image."""
    batch, height, width, _ = images.shape
    rows = draws.top[:, None] + torch.arange(height, device=images.device)
    ahead = torch.arange(width, device=images.device).expand(batch, width)
    columns = draws.left[:, None] + torch.where(draws.flip[:, None], ahead.flip(1), ahead)
    return rows, columns


def _reflected(places: Tensor, side: int) -> Tensor:
    places = places.abs()
    return torch.where(places < side, places, 2 * (side - 1) - places)


def _cut(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    which = torch.arange(len(images), device=images.device)[:, None, None]
    return images[which, rows[:, :, None], columns[:, None, :]]  # (B, H, W, C)
