"""Sheets: all images of a class tiled into one picture, so that a rival can also code by class.

Images stand row by row in a near-square grid. Each tile is padded to whole blocks by its own last
row and column, so that no block of the codec holds two images; cells that stay empty are grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from drrpack.core.arrays import Pixels

BLOCK = 16  # pixels: a macroblock of WebP, and what JPEG codes together at 4:2:0
# Pixels of a side. WebP ends at 16383, JPEG and AVIF at 65535; but one image costs the decoding of
# its sheet, and a larger one saves nothing: headers are 0.2 % of such a sheet.
SIDE = 2048
GREY = 128


def capacity(size: tuple[int, int]) -> int:
    """How many images of ``size`` (H, W) a sheet holds at most."""
    height, width = _padded(size)
    return max(1, SIDE // height) * max(1, SIDE // width)


def sheets_of(classes: Sequence[Pixels]) -> Iterator[Pixels]:
    """The images (n, H, W, 3) of each sheet: a class, or parts of like size of one that is too
    large for a sheet."""
    for images in classes:
        parts = -(-len(images) // capacity((images.shape[1], images.shape[2])))
        yield from (part for part in np.array_split(images, max(1, parts)) if len(part))


def tile(images: Pixels) -> Pixels:
    """Images (n, H, W, 3) as one picture (rows * h, columns * w, 3), h and w of whole blocks."""
    count, height, width = images.shape[:3]
    tall, wide = _padded((height, width))
    rows, columns = _grid(count, tall, wide)
    borders = ((0, 0), (0, tall - height), (0, wide - width), (0, 0))
    cells = np.full((rows * columns, tall, wide, 3), GREY, np.uint8)
    cells[:count] = np.pad(images, borders, mode="edge")
    grid = cells.reshape(rows, columns, tall, wide, 3)
    return grid.swapaxes(1, 2).reshape(rows * tall, columns * wide, 3)


def cut(picture: Pixels, count: int, size: tuple[int, int]) -> Pixels:
    """The ``count`` images (count, H, W, 3) of ``size`` that `tile` made ``picture`` of."""
    height, width = size
    tall, wide = _padded(size)
    rows, columns = _grid(count, tall, wide)
    grid = picture.reshape(rows, tall, columns, wide, 3).swapaxes(1, 2)
    return grid.reshape(-1, tall, wide, 3)[:count, :height, :width]


def _padded(size: tuple[int, int]) -> tuple[int, int]:
    height, width = (-(-side // BLOCK) * BLOCK for side in size)
    return height, width


def _grid(count: int, tall: int, wide: int) -> tuple[int, int]:
    """Rows and columns: near a square of pixels, and no side beyond `SIDE`."""
    columns = max(1, round(math.sqrt(count * tall / wide)))
    columns = max(1, min(columns, SIDE // wide, count))
    columns = max(columns, -(-count // max(1, SIDE // tall)))
    return -(-count // columns), columns
