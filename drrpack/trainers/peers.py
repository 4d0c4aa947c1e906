"""JPEG and WebP as a memory would use them: what all files of a quality share is not counted."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
WEBP_COMMON_BYTES = 27  # RIFF and chunk headers, start code, width and height


@dataclass(frozen=True)
class Packed:
    """Images as they come out of a codec, (n, H, W, 3), and the bytes (n,) that each takes."""

    images: Pixels
    sizes: NDArray[np.int64]

    def some(self, rows: NDArray[np.int64]) -> Packed:
        return Packed(self.images[rows], self.sizes[rows])


def jpeg(images: Pixels, quality: int, subsampling: int = 2) -> Packed:
    """JPEG with its standard tables; ``subsampling`` 2 is 4:2:0, 0 is 4:4:4."""
    packed = [_save(i, "JPEG", quality=quality, subsampling=subsampling) for i in images]
    return _packed(packed, [len(data) - _scan_start(data) for data in packed])


def webp(images: Pixels, quality: int, method: int = 4) -> Packed:
    """Lossy WebP; ``method`` goes from 0, the fastest, to 6, the smallest."""
    packed = [_save(i, "WEBP", quality=quality, method=method) for i in images]
    return _packed(packed, [len(data) - WEBP_COMMON_BYTES for data in packed])


def _packed(packed: list[bytes], sizes: list[int]) -> Packed:
    pixels = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in packed]
    return Packed(np.stack(pixels), np.array(sizes, dtype=np.int64))


def _save(image: Pixels, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def _scan_start(data: bytes) -> int:
    """Where the entropy-coded scan starts: all before it is common to files of one quality."""
    marker = data.rindex(b"\xff\xda")
    return marker + 2 + int.from_bytes(data[marker + 2 : marker + 4], "big")
