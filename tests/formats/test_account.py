"""The ledger: every figure of a file against one that is worked out here by other means."""

from __future__ import annotations

import lzma
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drr_files import SMALL, read_all
from numpy.typing import NDArray

from drrpack import DRRDataset
from drrpack.formats.account import account
from drrpack.formats.container import Reader, write
from drrpack.formats.sources.source import open_source

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dataset(digits_drr: Path) -> DRRDataset:
    return DRRDataset(digits_drr).preload()


@pytest.fixture(scope="module")
def figures(dataset: DRRDataset) -> dict[str, Any]:
    return account(dataset.reader).to_json()


@pytest.fixture(scope="module")
def codes(dataset: DRRDataset) -> dict[str, NDArray[np.int64]]:
    """All codes of a level in one row; "all" is the top, then the bottom."""
    top, bottom = (level.numpy().reshape(-1) for level in dataset.codes(range(300)))
    return {"top": top, "bottom": bottom, "all": np.concatenate([top, bottom])}


def test_the_bytes_add_up(figures: dict[str, Any], digits_drr: Path) -> None:
    parts = dict(figures["bytes"])
    assert parts.pop("file") == os.path.getsize(digits_drr) == sum(parts.values())
    content = read_all(digits_drr)
    assert parts["payload"] == sum(len(c.top) + len(c.bottom) for c in content.chunks)
    assert parts["vqvae"] > len(content.vqvae.data)
    assert parts["entropy_model"] > len(content.entropy_model.data)
    assert parts["raw"] == 0 and parts["container"] > 0


def test_counts_and_ratios(figures: dict[str, Any]) -> None:
    assert (figures["images"], figures["classes"], figures["image_size"]) == (300, 10, [32, 32])
    parts = figures["bytes"]
    assert figures["bytes_per_image"]["payload"] == pytest.approx(parts["payload"] / 300)
    assert figures["bytes_per_image"]["total"] == pytest.approx(parts["file"] / 300)
    assert figures["compression_ratio"] == pytest.approx(300 * 32 * 32 * 3 / parts["file"])


@pytest.mark.parametrize("level", ["top", "bottom", "all"])
def test_bits_per_code(
    level: str,
    figures: dict[str, Any],
    codes: dict[str, NDArray[np.int64]],
    dataset: DRRDataset,
) -> None:
    bits, these = figures["bits_per_code"][level], codes[level]
    sizes = {name: int(dataset.reader.index[f"{name}_bytes"].sum()) for name in ("top", "bottom")}
    sizes["all"] = figures["bytes"]["payload"]
    assert len(these) == {"top": 4800, "bottom": 19200, "all": 24000}[level]
    assert bits["coded"] == pytest.approx(8 * sizes[level] / len(these))
    counts = Counter(these.tolist()).values()
    order0 = sum(-n * math.log2(n / len(these)) for n in counts) / len(these)
    assert bits["order0"] == pytest.approx(order0)
    packed = lzma.compress(these.astype("<u2").tobytes(), preset=9 | lzma.PRESET_EXTREME)
    xz_frame = 8 * 80 / len(these)  # headers and checks of the .xz format, which raw LZMA lacks
    assert bits["lzma"] == pytest.approx(8 * len(packed) / len(these), rel=0.1, abs=xz_frame)
    assert bits["lzma"] > 0


def test_psnr_on_the_classes_that_no_fit_of_this_codec_saw(
    figures: dict[str, Any], dataset: DRRDataset, digits_folder: Path
) -> None:
    source = open_source(digits_folder)
    raw = np.concatenate([source.load(label) for label in range(10)]).astype(np.float64)
    decoded = dataset.pixels(range(300)).astype(np.float64)
    error = ((raw - decoded) ** 2).mean()
    assert figures["psnr_db"] == pytest.approx(10 * math.log10(255**2 / error), abs=1e-4)
    assert figures["psnr_images"] == 300 and "10 classes" in figures["psnr_on"]


def test_what_was_not_measured_is_none(tmp_path: Path) -> None:
    """A file of another writer, without figures in its metadata."""
    write(tmp_path / "other.drr", SMALL)
    with Reader(tmp_path / "other.drr") as reader:
        figures = account(reader).to_json()
    assert figures["psnr_db"] is None and figures["images"] == 6
    assert figures["bits_per_code"]["all"]["order0"] is None
    assert figures["bits_per_code"]["all"]["coded"] > 0


def test_a_file_without_images(tmp_path: Path) -> None:
    from dataclasses import replace

    write(tmp_path / "empty.drr", replace(SMALL, chunks=[]))
    with Reader(tmp_path / "empty.drr") as reader:
        figures = account(reader).to_json()
    assert figures["images"] == 0 and figures["bits_per_code"]["top"]["coded"] == 0
