"""Figures that are measured once, while encoding, and stored in the file's metadata."""

from __future__ import annotations

import lzma
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codec import Codec, Pixels
from drrpack.core.codes import Codes
from drrpack.formats.layout import Json
from drrpack.formats.sources.source import Source
from drrpack.trainers.comparison.quality import psnr_db

HELD_OUT = 2000  # images on which PSNR is measured
HELD_OUT_SHARE = 0.02  # kept from fitting where nothing else is unseen


def measure(
    source: Source,
    codec: Codec,
    codes: Sequence[Codes],
    fitted: Collection[int],
    held_out: Sequence[Pixels],
) -> Json:
    """PSNR on held-out images, and the bits per code of order-0 coding and lzma.

    ``fitted`` are the numbers of the classes that the codec was fitted on, ``held_out`` the images
    of `held_out_rows`, class by class.
    """
    images, where = _measured_on(source, fitted, held_out)
    return {**_quality(codec, images, where), "reference_bits": references(codes)}


def references(codes: Sequence[Codes]) -> dict[str, dict[str, float]]:
    """Bits per code of order-0 coding and lzma, by level."""
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


def _quality(codec: Codec, images: Pixels, where: str) -> Json:
    if len(images) == 0:
        return {"psnr_db": None, "psnr_images": 0, "psnr_on": "nothing was held out"}
    decoded = codec.decode(codec.encode(images), (images.shape[1], images.shape[2]))
    return {"psnr_db": psnr_db(images, decoded), "psnr_images": len(images), "psnr_on": where}


def held_out_rows(source: Source, fitted: Collection[int]) -> dict[int, NDArray[np.int64]]:
    """The training images, by class, that fitting never sees and PSNR is measured on.

    They belong to classes that are not ``fitted``, or are a few that are kept back. There are none
    if PSNR is measured on the test split.
    """
    counts = source.images_per_class
    unseen = [number for number in range(len(counts)) if number not in fitted]
    if unseen:
        each = -(-HELD_OUT // len(unseen))
        return {c: _spread(counts[c], each) for c in unseen}
    if source.has_test:
        return {}
    back = np.split(kept_back(sum(counts), source, fitted), np.cumsum(counts)[:-1])
    return {c: np.flatnonzero(rows) for c, rows in enumerate(back)}


def _measured_on(
    source: Source, fitted: Collection[int], held_out: Sequence[Pixels]
) -> tuple[Pixels, str]:
    """Images that fitting never saw, and a description of them."""
    count = len(source.classes)
    if len(fitted) < count:
        where = f"training images of {count - len(fitted)} unseen classes"
        return np.concatenate(held_out), where
    if source.has_test:
        each = -(-HELD_OUT // count)
        parts = [source.load(c, "test") for c in range(count)]
        some = [images[_spread(len(images), each)] for images in parts]
        return np.concatenate(some), "the test split"
    return np.concatenate(held_out), "images kept from fitting"


def kept_back(count: int, source: Source, fitted: Collection[int]) -> NDArray[np.bool_]:
    """Which of ``count`` images are kept back from fitting.

    A few are, if there is neither an unseen class nor a test split.
    """
    if len(fitted) < len(source.classes) or source.has_test or count < 2:
        return np.zeros(count, dtype=bool)
    every = max(2, round(1 / HELD_OUT_SHARE))
    back: NDArray[np.bool_] = np.arange(count) % every == every - 1
    return back


def _spread(count: int, wanted: int) -> NDArray[np.int64]:
    """Numbers of at most ``wanted`` of ``count`` images, evenly spaced."""
    picked: NDArray[np.int64] = np.linspace(0, count - 1, min(count, wanted)).astype(np.int64)
    return picked
