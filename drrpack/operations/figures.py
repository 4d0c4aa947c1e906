"""Figures that are measured once, while encoding, and kept in the file's metadata."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codec import Codec, Pixels
from drrpack.core.codes import Codes
from drrpack.formats.sources.source import Source
from drrpack.trainers.comparison.quality import psnr_db

HELD_OUT = 2000  # images on which PSNR is measured
HELD_OUT_SHARE = 0.02  # kept from fitting where nothing else is unseen


def measure(
    source: Source, codec: Codec, codes: Sequence[Codes], fit_classes: int
) -> dict[str, Any]:
    """PSNR on held-out images, and what order-0 coding and lzma make of the codes."""
    return {**_quality(source, codec, codes, fit_classes), "reference_bits": references(codes)}


def references(codes: Sequence[Codes]) -> dict[str, dict[str, float]]:
    """What order-0 coding and lzma make of the codes, in bits per code, by level."""
    levels = {
        "top": np.concatenate([c.top.reshape(-1) for c in codes]),
        "bottom": np.concatenate([c.bottom.reshape(-1) for c in codes]),
    }
    levels["all"] = np.concatenate([levels["top"], levels["bottom"]])
    return {
        name: {"codes": float(len(c)), "order0": entropy_bits(c), "lzma": lzma_bits(c)}
        for name, c in levels.items()
    }


def entropy_bits(codes: NDArray[np.integer]) -> float:
    """Order-0 entropy in bits per code: the paper's table 4."""
    counts = np.bincount(codes.reshape(-1))
    p = counts[counts > 0] / codes.size
    return float(-(p * np.log2(p)).sum())


def lzma_bits(codes: NDArray[np.integer]) -> float:
    """Bits per code of raw LZMA2 at its strongest preset, on 16-bit little-endian codes."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 1}]
    data = codes.reshape(-1).astype("<u2").tobytes()
    packed = lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)
    return 8 * len(packed) / codes.size


def _quality(
    source: Source, codec: Codec, codes: Sequence[Codes], fit_classes: int
) -> dict[str, Any]:
    images, where = _held_out(source, fit_classes)
    if len(images) == 0:
        return {"psnr_db": None, "psnr_images": 0, "psnr_on": "nothing was held out"}
    decoded = codec.decode(codec.encode(images), source.image_size)
    return {"psnr_db": psnr_db(images, decoded), "psnr_images": len(images), "psnr_on": where}


def _held_out(source: Source, fit_classes: int) -> tuple[Pixels, str]:
    """Images that fitting never saw: other classes, a test split, or a few kept back."""
    count = len(source.classes)
    if fit_classes < count:
        each = -(-HELD_OUT // (count - fit_classes))
        parts = [_spread(source.load(c), each) for c in range(fit_classes, count)]
        return np.concatenate(parts), f"training images of {count - fit_classes} unseen classes"
    if source.has_test:
        each = -(-HELD_OUT // count)
        parts = [_spread(source.load(c, "test"), each) for c in range(count)]
        return np.concatenate(parts), "the test split"
    images = np.concatenate([source.load(c) for c in range(count)])
    return images[kept_back(len(images), source, fit_classes)], "images kept from fitting"


def kept_back(count: int, source: Source, fit_classes: int) -> NDArray[np.bool_]:
    """Which of ``count`` images to fit on are kept back: a few, where no class and no test split is
    unseen."""
    if fit_classes < len(source.classes) or source.has_test or count < 2:
        return np.zeros(count, dtype=bool)
    every = max(2, round(1 / HELD_OUT_SHARE))
    back: NDArray[np.bool_] = np.arange(count) % every == every - 1
    return back


def _spread(images: Pixels, count: int) -> Pixels:
    """At most ``count`` images, evenly spaced."""
    if len(images) <= count:
        return images
    picked: Pixels = images[np.linspace(0, len(images) - 1, count).astype(int)]
    return picked
