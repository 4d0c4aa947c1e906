"""Image files as a memory would use them: what all files of a quality share is not counted.

Every size here is that of the fairest form: a program that keeps thousands of images of one size
and quality writes their common headers once.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
WEBP_COMMON_BYTES = 27  # RIFF and chunk headers, start code, width and height
WEBP_LOSSLESS_COMMON_BYTES = 25  # RIFF and chunk headers, signature, width and height
PNG_COMMON_BYTES = 57  # signature, IHDR, IEND, and length, type and CRC of one IDAT
BOX_BYTES = 8  # size and type of a box of AVIF
JXL_COMMON_BYTES = 2  # the signature of a naked codestream


@dataclass(frozen=True)
class Packed:
    """Images as they come out of a codec, (n, H, W, 3), and the bytes (n,) that each takes."""

    images: Pixels
    sizes: NDArray[np.int64]
    seconds: tuple[float, float] = (0.0, 0.0)  # of packing and of unpacking all images

    def some(self, rows: NDArray[np.int64]) -> Packed:
        return Packed(self.images[rows], self.sizes[rows])


def jpeg(images: Pixels, quality: int, subsampling: int = 2) -> Packed:
    """JPEG with its standard tables; ``subsampling`` 2 is 4:2:0, 0 is 4:4:4."""
    return _pack(images, _scan_start, "JPEG", quality=quality, subsampling=subsampling)


def webp(images: Pixels, quality: int, method: int = 4) -> Packed:
    """Lossy WebP; ``method`` goes from 0, the fastest, to 6, the smallest."""
    return _pack(images, WEBP_COMMON_BYTES, "WEBP", quality=quality, method=method)


def avif(images: Pixels, quality: int) -> Packed:
    """AVIF by Pillow; of the file only the coded data counts."""
    return _pack(images, _all_but_mdat, "AVIF", quality=quality, subsampling="4:2:0", speed=4)


def jxl(images: Pixels, quality: int) -> Packed:
    """JPEG XL where a plugin of Pillow has it."""
    return _pack(images, JXL_COMMON_BYTES, "JXL", quality=quality)


def png(images: Pixels) -> Packed:
    """PNG at its smallest."""
    return _pack(images, PNG_COMMON_BYTES, "PNG", optimize=True)


def webp_lossless(images: Pixels) -> Packed:
    """WebP without loss; a method above 4 takes 30 times as long and makes it no smaller."""
    options = {"lossless": True, "quality": 100, "method": 4, "exact": True}
    return _pack(images, WEBP_LOSSLESS_COMMON_BYTES, "WEBP", **options)


Pack = Callable[[Pixels, int], Packed]
# Qualities from the smallest files to some that are larger than a memory's, and dense where small
# images take as much as one.
LOSSY: dict[str, tuple[Pack, tuple[int, ...]]] = {
    "JPEG": (jpeg, (3, 5, 8, 10, 11, 12, 13, 14, 15, 17, 20, 25, 30, 40, 50, 75)),
    "WebP": (webp, (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60)),
    "AVIF": (avif, (5, 10, 15, 20, 25, 30, 40, 50, 60)),
    "JPEG XL": (jxl, (5, 10, 20, 30, 50, 70)),
}
_PILLOW_NAMES = {"JPEG": "JPEG", "WebP": "WEBP", "AVIF": "AVIF", "JPEG XL": "JXL"}


def available() -> list[str]:
    """The names in `LOSSY` that this Pillow writes."""
    Image.init()
    return [name for name in LOSSY if _PILLOW_NAMES[name] in Image.SAVE]


def _packed(packed: list[bytes], sizes: list[int]) -> Packed:
    pixels = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in packed]
    return Packed(np.stack(pixels), np.array(sizes, dtype=np.int64))


def _pack(
    images: Pixels, common: int | Callable[[bytes], int], kind: str, **options: Any
) -> Packed:
    """Files in memory by Pillow, and back; ``common`` bytes of each are shared by all."""
    start = time.perf_counter()
    files = [_save(image, kind, **options) for image in images]
    middle = time.perf_counter()
    pixels = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]
    seconds = middle - start, time.perf_counter() - middle
    sizes = [len(file) - (common if isinstance(common, int) else common(file)) for file in files]
    return Packed(np.stack(pixels), np.array(sizes, dtype=np.int64), seconds)


def _save(image: Pixels, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def _scan_start(data: bytes) -> int:
    """Where the entropy-coded scan starts: all before it is common to files of one quality."""
    marker = data.rindex(b"\xff\xda")
    return marker + 2 + int.from_bytes(data[marker + 2 : marker + 4], "big")


def _all_but_mdat(data: bytes) -> int:
    """What is not in the media data box of an ISO base media file, one of which holds the image."""
    place = 0
    while data[place + 4 : place + 8] != b"mdat":
        place += int.from_bytes(data[place : place + 4], "big")
    return len(data) - int.from_bytes(data[place : place + 4], "big") + BOX_BYTES
