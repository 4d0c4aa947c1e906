"""Reported: mozilla/mozjpeg#89: with whole qualities alone, files of two encoders could not be
brought to one size, so a comparison of them was not fair; a fraction of a quality was asked for.
Right: a rival is judged at the size that is nearest to the memory's, and not above it, by the
finest steps that its encoder tells apart.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drrpack.formats.sources.source import Source, open_source
from drrpack.trainers.comparison import compare, peers
from drrpack.trainers.incremental.methods.er_webp import WebPReplay


@pytest.fixture
def source(digits_folder: Path) -> Source:
    return open_source(digits_folder)


def webp_bytes(images: np.ndarray, quality: float) -> float:
    sizes = []
    for image in images:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "WEBP", quality=quality, method=6)
        sizes.append(len(out.getvalue()) - peers.WEBP_COMMON_BYTES)
    return float(np.mean(sizes))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_webp_comes_as_near_as_a_tenth_of_a_quality(source: Source, share: float) -> None:
    sample = compare.draw_sample(source, [0, 1, 2], 45)
    low, high = (webp_bytes(sample.images, quality) for quality in (0, 1))
    target = low + share * (high - low)
    found = compare.measured(peers.LOSSY["WebP"], sample, [target])
    judged = max((c for c in found if c.image_bytes <= target), key=lambda c: c.image_bytes)
    tenths = [webp_bytes(sample.images, tenth / 10) for tenth in range(11)]
    assert judged.image_bytes == max(size for size in tenths if size <= target)


@pytest.mark.parametrize("name", ["JPEG", "WebP", "JPEG-sheet"])
def test_a_memory_of_many_bytes_meets_rivals_of_many_bytes(source: Source, name: str) -> None:
    sample = compare.draw_sample(source, [0, 1, 2], 45)
    rival = peers.LOSSY[name]
    usual = compare.measured(rival, sample, [])[-1]
    found = compare.measured(rival, sample, [1.2 * usual.image_bytes, 1e6])
    assert found[-1].psnr_db > usual.psnr_db + 5 and found[-1].name.endswith("q99")
    between = [c for c in found if usual.image_bytes < c.image_bytes <= 1.2 * usual.image_bytes]
    assert between and max(c.image_bytes for c in between) > 1.1 * usual.image_bytes


def test_jpeg_and_avif_have_whole_qualities_alone() -> None:
    image = Image.new("RGB", (16, 16))
    for name in {"JPEG", "AVIF"} & set(peers.available()):
        assert peers.LOSSY[name].step == 1
        with pytest.raises(ValueError, match="quality"):
            image.save(io.BytesIO(), name, quality=10.5)


def test_replay_of_webp_files_fills_its_share() -> None:
    assert {0.1, 0.5, 1.0, 9.9} <= set(WebPReplay.qualities)
    assert list(WebPReplay.qualities) == sorted(set(WebPReplay.qualities))
