"""Pictures written byte by byte, after the formats' own texts: a check on what Pillow reads."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_FORMATS = {"u": 1, "i": 2, "f": 3}
MIN_IS_WHITE, MIN_IS_BLACK, COLOURS = 0, 1, 2


def write_tiff(
    path: Path,
    values: NDArray[Any],
    photometric: int = MIN_IS_BLACK,
    order: str = "<",
    extra: Sequence[int] = (),
) -> Path:
    """A TIFF (6.0) of one strip without compression: values (H, W) or (H, W, C)."""
    channels = values.shape[2] if values.ndim == 3 else 1
    bits, kind = 8 * values.dtype.itemsize, SAMPLE_FORMATS[values.dtype.kind]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    shorts = {258: [bits] * channels, 259: [1], 262: [photometric], 277: [channels]}
    shorts |= {339: [kind] * channels, **({338: list(extra)} if extra else {})}
    longs = {256: [values.shape[1]], 257: [values.shape[0]], 273: [8], 278: [values.shape[0]]}
    longs |= {279: [len(data)]}
    return _with_directory(path, data, order, {"H": shorts, "I": longs})


def write_tiff_of_12_bits(path: Path, values: NDArray[Any]) -> Path:
    """Two values in three bytes, most significant bits first; (H, W) with W even."""
    pairs = values.astype(np.int64).reshape(-1, 2)
    joined = pairs[:, 0] << 12 | pairs[:, 1]
    data = np.stack([joined >> 16, joined >> 8 & 255, joined & 255], 1).astype(np.uint8).tobytes()
    height, width = values.shape
    shorts = {258: [12], 259: [1], 262: [MIN_IS_BLACK], 277: [1], 339: [1]}
    longs = {256: [width], 257: [height], 273: [8], 278: [height], 279: [len(data)]}
    return _with_directory(path, data, "<", {"H": shorts, "I": longs})


def _with_directory(
    path: Path, data: bytes, order: str, fields: dict[str, dict[int, list[int]]]
) -> Path:
    tags = sorted((tag, f, values) for f, of in fields.items() for tag, values in of.items())
    start = 8 + len(data)
    directory, behind = struct.pack(f"{order}H", len(tags)), b""
    for tag, form, values in tags:
        content = struct.pack(f"{order}{len(values)}{form}", *values)
        if len(content) > 4:
            place = start + 2 + 12 * len(tags) + 4 + len(behind)
            behind += content
            content = struct.pack(f"{order}I", place)
        kind = {"H": 3, "I": 4}[form]
        directory += struct.pack(f"{order}HHI", tag, kind, len(values)) + content.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    image = mark + struct.pack(f"{order}I", start) + data + directory + b"\0" * 4 + behind
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image)
    return path


def write_png(path: Path, values: NDArray[Any], colour: int) -> Path:
    """A PNG of 8 or 16 bits; colour 0 grey, 2 RGB, 4 grey with alpha, 6 RGB with alpha."""
    rows = values.astype(values.dtype.newbyteorder(">"))
    header = struct.pack(
        ">IIBBBBB", values.shape[1], values.shape[0], 8 * values.dtype.itemsize, colour, 0, 0, 0
    )
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in parts
        )
    )
    return path
