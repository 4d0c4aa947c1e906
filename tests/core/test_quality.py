"""PSNR and SSIM against their definitions, window by window."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drrpack.core.quality import psnr_db, ssim


def pictures(seed: int = 0, count: int = 3, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def ssim_of_windows(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004, equations 14 to 16 and 13, for one channel."""
    offsets = np.arange(-5, 6)
    weight = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    values = []
    for row in range(len(x) - 10):
        for column in range(len(x[0]) - 10):
            a = x[row : row + 11, column : column + 11].astype(float)
            b = y[row : row + 11, column : column + 11].astype(float)
            mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
            var_a = (weight * (a - mean_a) ** 2).sum()
            var_b = (weight * (b - mean_b) ** 2).sum()
            both = (weight * (a - mean_a) * (b - mean_b)).sum()
            top = (2 * mean_a * mean_b + 6.5025) * (2 * both + 58.5225)
            values.append(top / ((mean_a**2 + mean_b**2 + 6.5025) * (var_a + var_b + 58.5225)))
    return float(np.mean(values))


def test_ssim_is_its_definition() -> None:
    images = pictures()
    noise = np.random.default_rng(1).normal(0, 20, images.shape)
    decoded = np.clip(images + noise, 0, 255).astype(np.uint8)
    wanted = [
        ssim_of_windows(images[n, :, :, c], decoded[n, :, :, c]) for n in range(3) for c in range(3)
    ]
    assert ssim(images, decoded) == pytest.approx(np.mean(wanted), abs=1e-9)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, decoded = pictures(count=7), pictures(1, count=7)
    whole = ssim(images, decoded), psnr_db(images, decoded)
    three = 3 * images.shape[1] * images.shape[2]
    monkeypatch.setattr("drrpack.core.quality.PIXELS_AT_ONCE", three)
    assert (ssim(images, decoded), psnr_db(images, decoded)) == pytest.approx(whole, abs=1e-12)


def test_equal_images() -> None:
    assert ssim(pictures(), pictures()) == pytest.approx(1, abs=1e-12)
    assert psnr_db(pictures(), pictures()) > 140


def test_psnr() -> None:
    black, grey = np.zeros((2, 11, 11, 3), np.uint8), np.full((2, 11, 11, 3), 51, np.uint8)
    assert psnr_db(black, grey) == pytest.approx(20 * math.log10(5))
