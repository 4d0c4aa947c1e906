"""Figures that are measured once, while encoding, and stored in the file's metadata."""

from __future__ import annotations

import lzma
import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.codec import Codec
from drrpack.core.codes import LEVELS, Codes
from drrpack.core.quality import psnr_db
from drrpack.core.wording import counted
from drrpack.formats.layout import Json
from drrpack.formats.sources.source import Source

# Raw LZMA2 at its strongest preset, on 16-bit little-endian codes. Its usual window of 64 MiB would
# take 674 MB of memory, one of 8 MiB 94 MB, and three packers are at work. What lies 6,500 images
# of 32x32 back is of little use.
LZMA_FILTER = {
    "id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20,
    "lc": 0, "lp": 1,
}  # fmt: skip
LZMA_CODES = 1 << 23  # that it packs, at a megabyte a second: those of 105,000 images of 32x32
HELD_OUT = 2000  # images on which PSNR is measured, as long as they are no more pixels than
HELD_OUT_PIXELS = 1 << 27  # these, which take 400 MB
HELD_OUT_SHARE = 0.02  # kept from fitting where nothing else is unseen


def measure(source: Source, codec: Codec, codes: Sequence[Codes], fitted: Collection[int]) -> Json:
    """PSNR on held-out images, and the bits per code of order-0 coding and lzma.

    ``fitted`` are the numbers of the classes that the codec was fitted on.
    """
    return {**quality(source, codec, fitted), "reference_bits": references(codes)}


def quality(source: Source, codec: Codec, fitted: Collection[int]) -> Json:
    """PSNR alone."""
    return _quality(codec, *held_out(source, fitted))


def references(codes: Sequence[Codes]) -> dict[str, dict[str, float]]:
    """Bits per code of order-0 coding and lzma, by level; of all codes, top then bottom.

    Of more than `LZMA_CODES` codes lzma packs those of every second class, or third, and so on.
    """
    counts: dict[str, NDArray[np.int64]] = {n: np.zeros(1 << 16, np.int64) for n in LEVELS}
    for of_class in codes:
        for level in LEVELS:
            counts[level] += np.bincount(of_class[level].reshape(-1), minlength=1 << 16)
    counts["all"] = counts["top"] + counts["bottom"]
    some = codes[:: -(-int(counts["all"].sum()) // LZMA_CODES) or 1]
    packed = {name: _Packed() for name in counts}
    for level in LEVELS:
        for of_class in some:
            for name in (level, "all"):
                packed[name].add(of_class[level])
    return {
        name: {
            "codes": float(of.sum()), "order0": entropy_bits(of), "lzma": packed[name].bits(),
        }
        for name, of in counts.items()
    }  # fmt: skip


class _Packed:
    """What lzma makes of codes that come one class after the other."""

    def __init__(self) -> None:
        self._packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[LZMA_FILTER])
        self._codes = self._bytes = 0

    def add(self, codes: NDArray[np.uint16]) -> None:
        self._codes += codes.size
        self._bytes += len(self._packer.compress(codes.astype("<u2").tobytes()))

    def bits(self) -> float:
        """Bits per code; nothing can be added afterwards."""
        return 8 * (self._bytes + len(self._packer.flush())) / self._codes


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Order-0 entropy in bits per code, from how often each code occurs: the paper's table 4."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def _quality(codec: Codec, images: Pixels, where: str) -> Json:
    if len(images) == 0:
        return {"psnr_db": None, "psnr_images": 0, "psnr_on": "nothing was held out"}
    decoded = codec.decode(codec.encode(images), (images.shape[1], images.shape[2]))
    return {"psnr_db": psnr_db(images, decoded), "psnr_images": len(images), "psnr_on": where}


def held_out(source: Source, fitted: Collection[int]) -> tuple[Pixels, str]:
    """Images (n, H, W, 3) that fitting never saw, and what they are, in words.

    They belong to classes that are not ``fitted``, or to the test split, or are a few that are kept
    back; there may be none of those.
    """
    counts, count = source.images_per_class, len(source.classes)
    wanted = max(1, min(HELD_OUT, HELD_OUT_PIXELS // math.prod(source.image_size)))
    seen = set(fitted)
    unseen = [number for number in range(count) if number not in seen]
    if unseen:
        kind = "unseen class" if seen else "class"  # what a codec that came along saw is not known
        each = -(-wanted // len(unseen))
        some = [unseen[place] for place in _spread(len(unseen), wanted)]
        parts = [source.load(c, "train", _spread(counts[c], each)) for c in some]
        return np.concatenate(parts), f"training images of {counted(len(unseen), kind)}"
    if source.has_test:
        each = -(-wanted // count)
        of_test = source.counts("test")
        parts = [source.load(c, "test", _spread(of_test[c], each)) for c in range(count)]
        return np.concatenate(parts), "the test split"
    back = np.split(kept_back(sum(counts), source, fitted), np.cumsum(counts)[:-1])
    parts = [source.load(c, "train", np.flatnonzero(rows)) for c, rows in enumerate(back)]
    return np.concatenate(parts), "images kept from fitting"


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
