"""Networks over large maps, some rows at a time: bounds memory, and changes no number.

A row of what comes out depends on some rows of what goes in, those within a *reach* of it. All
numbers are exact (`drrpack.core.exact`), so a network may see these rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

NUMBERS_AT_ONCE = 1 << 24  # of the widest activation in one call: 64 MB in float32


def by_rows(
    network: Callable[..., Tensor],
    maps: Sequence[Tensor | None],
    reach: int,
    width: int,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """What ``network`` makes of maps (B, ..., H, W) of one grid, which is (B, C, s H, s W).

    Args:
        network: gets the maps, or some of their images and rows; None stays None.
        reach: rows of the maps, on each side, that a row of the output depends on.
        width: numbers that the network makes of a position of the maps, at its widest layer.
        dtype: of an output that is put together from parts, if it can hold its integers. Where
            gradients are wanted, and for small maps, the output is as the network gives it.
    """
    shape = next(each.shape for each in maps if each is not None)
    images, height, at_once = shape[0], shape[-2], max(1, NUMBERS_AT_ONCE // width)
    if torch.is_grad_enabled() or images * height * shape[-1] <= at_once:
        return network(*maps)
    out: Tensor | None = None
    for some, rows in _parts(images, height, shape[-1], at_once, reach):
        low, high = max(0, rows.start - reach), min(height, rows.stop + reach)
        part = network(*(None if x is None else x[some, ..., low:high, :] for x in maps))
        scale = part.shape[2] // (high - low)
        if out is None:
            sides = scale * height, part.shape[3]
            out = part.new_empty((images, part.shape[1], *sides), dtype=dtype)
        start = scale * (rows.start - low)
        length = scale * (rows.stop - rows.start)
        out[some, :, scale * rows.start : scale * rows.stop] = part[:, :, start : start + length]
    assert out is not None
    return out


def _parts(
    images: int, height: int, width: int, at_once: int, reach: int
) -> Iterator[tuple[slice, slice]]:
    """Images and rows of each part: whole images, or rows of one, which see ``reach`` further."""
    whole = at_once // (height * width)
    if whole:
        for image in range(0, images, whole):
            yield slice(image, min(images, image + whole)), slice(0, height)
        return
    rows = max(1, reach, at_once // width - 2 * reach)
    for image in range(images):
        for row in range(0, height, rows):
            yield slice(image, image + 1), slice(row, min(height, row + rows))
