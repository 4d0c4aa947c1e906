"""Figures measured while encoding: entropy, lzma, PSNR, and which images count as held out."""

from __future__ import annotations

import lzma
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drrpack.core.codes import Codes
from drrpack.formats.sources.source import Source, open_source
from drrpack.operations import figures


def source_of(root: Path, counts: dict[str, list[int]]) -> Source:
    """Grey pictures of 8 x 8: ``counts[split][c]`` of class c, each of its own brightness."""
    brightness = 0
    for split, numbers in counts.items():
        for index, count in enumerate(numbers):
            for number in range(count):
                picture = root / split / f"c{index}" / f"{number:03}.png"
                picture.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((8, 8, 3), brightness, np.uint8)).save(picture)
                brightness += 1
    return open_source(root)


def held_out(source: Source, fit_classes: int) -> tuple[np.ndarray, str]:
    """The images that are measured on."""
    return figures.held_out(source, range(fit_classes))


def brightness(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("codes", [[7], [1, 1, 1], [0, 1, 2, 3], [0, 0, 0, 5]])
def test_entropy_by_hand(codes: list[int]) -> None:
    shares = [codes.count(code) / len(codes) for code in set(codes)]
    expected = sum(-share * math.log2(share) for share in shares)
    grid = np.array(codes, np.uint16).reshape(-1, 1, 1)
    found = figures.references([Codes(grid, np.repeat(np.repeat(grid, 2, 1), 2, 2))])
    for level in ("top", "bottom", "all"):
        assert found[level]["order0"] == pytest.approx(expected)
    assert [found[level]["codes"] for level in ("top", "bottom", "all")] == [
        len(codes), 4 * len(codes), 5 * len(codes),
    ]  # fmt: skip


def test_lzma_finds_what_repeats() -> None:
    noise = np.random.default_rng(0).integers(0, 512, (2500, 4, 4)).astype(np.uint16)
    still = np.tile(noise[:5], (500, 1, 1))
    found = figures.references([Codes(noise[:, :2, :2], still)])
    assert 9.0 < found["top"]["lzma"] < 10.0
    assert found["bottom"]["lzma"] < 0.2


def test_references_are_those_of_all_codes_together() -> None:
    """As lzma packs the whole sequence in one call, whatever the classes it comes in."""
    grids = np.random.default_rng(0).integers(0, 9, (300, 4, 4)).astype(np.uint16)
    classes = [Codes(g[:, :2, :2], g) for g in np.split(grids, [7, 7, 150])]
    whole = b"".join(g.astype("<u2").tobytes() for g in (grids[:, :2, :2], grids))
    packed = lzma.compress(
        whole, lzma.FORMAT_RAW,
        filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 1}],
    )  # fmt: skip
    found = figures.references(classes)["all"]
    assert found["lzma"] == pytest.approx(8 * len(packed) / (300 * 20), rel=0.01)


def test_lzma_packs_every_second_class_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 512, (40, 4, 4)).astype(np.uint16) for _ in range(6)]
    still = [np.full((40, 4, 4), 7, np.uint16) for _ in range(6)]
    pairs = zip(noise, still, strict=True)
    classes = [Codes(g[:, :2, :2], g) for pair in pairs for g in pair]  # in turns
    every = figures.references(classes)
    monkeypatch.setattr(figures, "LZMA_CODES", 12 * 40 * 20 - 1)
    some = figures.references(classes)
    for level in ("top", "bottom", "all"):
        assert [some[level][name] for name in ("codes", "order0")] == [
            every[level][name] for name in ("codes", "order0")
        ]
        assert every[level]["lzma"] < 7 < 9 < some[level]["lzma"], "noise alone"


def test_psnr_by_hand() -> None:
    black = np.zeros((2, 4, 4, 3), np.uint8)
    assert figures.psnr_db(black, black + 255) == pytest.approx(0.0)
    assert figures.psnr_db(black, black + 1) == pytest.approx(20 * math.log10(255))
    assert math.isfinite(figures.psnr_db(black, black))


def test_held_out_are_the_classes_not_fitted_on(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"train": [2, 3, 4], "test": [1, 1, 1]})
    images, where = held_out(source, 1)
    assert brightness(images) == [2, 3, 4, 5, 6, 7, 8] and "2 unseen classes" in where
    assert brightness(held_out(source, 0)[0]) == list(range(9)), "of another codec"


def test_held_out_is_the_test_split_where_all_is_fitted_on(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"train": [2, 2], "test": [1, 3]})
    images, where = held_out(source, 2)
    assert brightness(images) == [4, 5, 6, 7] and where == "the test split"
    assert figures.kept_back(4, source, {0, 1}).tolist() == 4 * [False]


def test_a_few_are_kept_from_fitting_where_nothing_else_is_unseen(tmp_path: Path) -> None:
    source = source_of(tmp_path, {".": [60, 60]})
    every = np.concatenate([source.load(0), source.load(1)])
    back = figures.kept_back(len(every), source, {0, 1})
    fitted, kept = every[~back], every[back]
    assert brightness(kept) == [49, 99] and len(fitted) == 118
    assert not set(brightness(kept)) & set(brightness(fitted))
    images, where = held_out(source, 2)
    np.testing.assert_array_equal(images, kept)
    assert where == "images kept from fitting"


@pytest.mark.parametrize(("name", "bound"), [("HELD_OUT", 4), ("HELD_OUT_PIXELS", 5 * 64 - 1)])
def test_not_more_are_measured_than_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bound: int
) -> None:
    monkeypatch.setattr(figures, name, bound)
    source = source_of(tmp_path, {"train": [1, 5, 5]})
    assert brightness(held_out(source, 1)[0]) == [1, 5, 6, 10]
