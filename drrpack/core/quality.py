"""PSNR and SSIM of decoded images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drrpack.core.arrays import Pixels, batches

WINDOW, SIGMA = 11, 1.5  # of Wang et al. 2004, as are the constants
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PIXELS_AT_ONCE = 1 << 18


def psnr_db(images: Pixels, decoded: Pixels) -> float:
    """PSNR in dB of the mean squared error over all images and channels, peak 255."""
    total = 0.0
    for part in _parts(images):
        error = images[part].astype(np.float32) - decoded[part].astype(np.float32)
        total += float(np.square(error).sum(dtype=np.float64))
    return float(10 * np.log10(255**2 / max(total / max(1, images.size), 1e-10)))


def ssim(images: Pixels, decoded: Pixels) -> float:
    """Mean SSIM of uint8 (N, H, W, 3), channel by channel, where the window lies inside.

    Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004. Sides must be 11 pixels at least.
    """
    total = 0.0
    for part in _parts(images):
        total += float(_map(images[part], decoded[part]).mean((1, 2, 3)).sum())
    return total / max(1, len(images))


def _parts(images: Pixels) -> Iterator[slice]:
    """Slices of images that are looked at together, so that memory stays bounded."""
    return batches(len(images), max(1, PIXELS_AT_ONCE // (images.shape[1] * images.shape[2])))


def _map(images: Pixels, decoded: Pixels) -> Tensor:
    x, y = (torch.from_numpy(np.ascontiguousarray(p)).permute(0, 3, 1, 2).double()
            for p in (images, decoded))  # fmt: skip
    means = _blur(x), _blur(y)
    square = means[0] * means[0], means[1] * means[1]
    variance = _blur(x * x) - square[0], _blur(y * y) - square[1]
    product = means[0] * means[1]
    covariance = _blur(x * y) - product
    like = (2 * product + C1) * (2 * covariance + C2)
    return like / ((square[0] + square[1] + C1) * (variance[0] + variance[1] + C2))


def _blur(x: Tensor) -> Tensor:
    """A Gaussian of 11x11 over (B, C, H, W), (B, C, H - 10, W - 10)."""
    place = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    line = torch.exp(-place.square() / (2 * SIGMA**2))
    line = (line / line.sum()).expand(x.shape[1], 1, 1, -1)
    rows = F.conv2d(x, line, groups=x.shape[1])
    return F.conv2d(rows, line.transpose(2, 3), groups=x.shape[1])
