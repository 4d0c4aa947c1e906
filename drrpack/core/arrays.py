"""Arrays that go from module to module, by name, and how many items are divided."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # images (N, H, W, 3), or one without N
Labelled = tuple[Pixels, NDArray[np.int64]]  # images and their labels (N,)
Symbols = NDArray[np.int64]  # codes on their way through a codec
U64 = NDArray[np.uint64]


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``count``."""
    return (slice(i, min(i + size, count)) for i in range(0, count, size))
