"""Images and codes as PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drrpack.core.arrays import Pixels
from drrpack.core.codes import Grid


def png(pixels: Pixels) -> bytes:
    """An image (H, W, 3) as a PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def coloured(codes: Grid, codebook: NDArray[np.float64]) -> Pixels:
    """A grid of codes (h, w) as an image (h, w, 3) by `colours` of its codebook (K, D)."""
    return colours(codebook)[codes]


def colours(codebook: NDArray[np.float64]) -> Pixels:
    """A colour for each code, (K, 3) uint8: codes with similar vectors have similar colours.

    Red, green and blue are the first three principal components of the codebook (K, D), each by
    its rank, so that all values occur.
    """
    centred = codebook - codebook.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:3]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    components = centred @ (axes * np.sign(largest)).T  # (K, 3 or fewer), of a certain sign
    ranks = components.argsort(0, kind="stable").argsort(0)
    made = np.zeros((len(codebook), 3), np.uint8)
    made[:, : ranks.shape[1]] = np.rint(ranks * (255 / max(1, len(codebook) - 1)))
    return made
