"""Reported: purplesyringa/site#5: lossless WebP at its slowest method, for which a maintainer of
WebP had hoped, took a lot more time, and its files were larger than those of the method below.
Right: a rival is measured at a setting that nothing beats: of all that come within a percent of the
smallest files, the fastest.
"""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from drrpack.formats.sources.source import open_source
from drrpack.trainers.comparison import peers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("encode_speed")


def photographs() -> np.ndarray:
    """Crops (12, 32, 32, 3) of the photographs that come with scikit-learn."""
    from sklearn.datasets import load_sample_images

    rng, crops = np.random.default_rng(0), []
    for number in range(12):
        whole = load_sample_images().images[number % 2]
        row, column = (int(rng.integers(0, side - 128)) for side in whole.shape[:2])
        crop = Image.fromarray(whole[row : row + 128, column : column + 128])
        crops.append(np.asarray(crop.resize((32, 32))))
    return np.stack(crops)


def lossless(image: np.ndarray, **options: int) -> int:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "WEBP", lossless=True, **options)
    return len(out.getvalue())


def test_the_fastest_of_the_small_is_timed(script: ModuleType) -> None:
    measured = [(0, 110.0, 900.0), (2, 100.9, 300.0), (4, 100.0, 90.0), (6, 103.0, 9.0)]
    settings = [script.Setting(method, 0, size, rate) for method, size, rate in measured]
    assert script.fastest_of_small(settings) == settings[1]


def test_no_setting_of_lossless_webp_beats_the_one_that_is_timed(script: ModuleType) -> None:
    images = photographs()
    settings = script.tried_settings(images)
    assert {s.method for s in settings} == set(range(7)), "every method is tried"
    best = script.fastest_of_small(settings)
    sizes = {
        method: np.mean([lossless(image, method=method, quality=best.quality) for image in images])
        for method in range(5)
    }
    assert best.image_bytes <= 1.01 * min(sizes.values())
    slowest = next(s for s in settings if (s.method, s.quality) == (6, 100))
    assert best.images_a_second > 3 * slowest.images_a_second


def test_compare_takes_a_small_one(digits_folder: Path) -> None:
    images = photographs()
    ours = peers.webp_lossless(images).sizes.mean() + peers.WEBP_LOSSLESS_COMMON_BYTES
    smallest = min(
        np.mean([lossless(image, method=method, quality=quality) for image in images])
        for method in range(5)
        for quality in (0, 50, 100)
    )
    assert ours <= 1.005 * smallest
    assert open_source(digits_folder).classes  # on digits, too, nothing is lost:
    digits = open_source(digits_folder).load(0)
    np.testing.assert_array_equal(peers.webp_lossless(digits).images, digits)
