"""Say so where image files would be smaller than the memory that was just made."""

from __future__ import annotations

import numpy as np

from drrpack.core.arrays import Pixels
from drrpack.core.progress import Notice
from drrpack.core.quality import psnr_db
from drrpack.formats.account import Stats
from drrpack.formats.sources.source import Source
from drrpack.trainers.comparison.peers import LOSSY

SAMPLE_PIXELS = 1 << 18  # of the images that are packed as JPEG files: a fraction of a second
QUALITIES = range(1, 96)


def advice(source: Source, made: Stats, *, can_be_thin: bool) -> Notice | None:
    """A sentence for a memory that takes more than JPEG files of its PSNR; None for others.

    It says from how many such images on a memory is the smaller, and, if the VQ-VAE comes with
    drrpack and is in the file (``can_be_thin``), what ``thin`` would save.
    """
    if made.psnr_db is None or not made.images:
        return None
    size, images = made.bytes.file - made.bytes.raw, made.images
    jpeg = jpeg_bytes(_sample(source), made.psnr_db)
    if jpeg is None or size <= jpeg * images:
        return None
    models = made.bytes.vqvae + made.bytes.entropy_model
    each = made.bytes.payload / images
    these = "this image takes" if images == 1 else f"these {images:,} images take"
    beside = " beside the raw exemplars" if made.bytes.raw else ""
    said = [
        f"{these} {size / images:,.0f} bytes each{beside}, {models / images:,.0f} of them models; "
        f"JPEG files of the same PSNR take {jpeg:,.0f}"
    ]
    if each < jpeg:
        least = max(images + 1, _rounded((size - made.bytes.payload) / (jpeg - each)))
        said.append(f"a memory is smaller from about {least:,} such images on")
    else:
        said.append("with these models a memory is larger at any number of such images")
    if can_be_thin:
        least_thin = (size - made.bytes.vqvae) / images
        said.append(
            f"with `thin`, for readers that have drrpack, they take {least_thin:,.0f} at most"
        )
    return Notice("; ".join(said), warning=False)


def jpeg_bytes(images: Pixels, least_db: float) -> float | None:
    """What JPEG files of the images (n, H, W, 3) take on average, without the headers that all have
    in common, at the lowest quality whose PSNR is ``least_db``; None if it never is."""
    low, high, best = 0, len(QUALITIES) - 1, None
    while low <= high:
        middle = (low + high) // 2
        packed = LOSSY["JPEG"].pack([images], QUALITIES[middle])
        if psnr_db(images, packed.images) >= least_db:
            best, high = packed.image_bytes, middle - 1
        else:
            low = middle + 1
    return best


def _sample(source: Source) -> Pixels:
    """Some training images, evenly over all classes."""
    height, width = source.image_size
    total = sum(source.images_per_class)
    count = min(total, max(1, SAMPLE_PIXELS // (height * width)))
    wanted = np.linspace(0, total - 1, count).astype(int)
    ends = np.cumsum(source.images_per_class)
    parts = np.split(wanted, np.searchsorted(wanted, ends[:-1]))
    starts = ends - np.array(source.images_per_class)
    found = [
        source.load(number, rows=rows - starts[number])
        for number, rows in enumerate(parts)
        if len(rows)
    ]
    return np.concatenate(found)


def _rounded(count: float) -> int:
    """To two digits: it is an estimate."""
    return int(float(f"{count:.1e}"))
