"""Decoded images in memory, up to a budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.formats.indices import byte_bound


class PixelCache:
    """Decoded images, by their numbers, up to a budget. The first that come stay, as a shuffled
    loader's order has no memory that eviction could follow. Memory is taken as it fills.

    Threads need a lock around it. A fork does not: one in the middle of `put` leaves the child a
    cache with less room.
    """

    def __init__(self, count: int, size: tuple[int, int], budget_bytes: int) -> None:
        self.budget_bytes, self.size = byte_bound("cache_bytes", budget_bytes), size
        self.room = min(count, self.budget_bytes // (size[0] * size[1] * 3))
        self.slot = np.full(count, -1, dtype=np.int64)
        self.store: Pixels | None = None
        self.used = 0

    def emptied(self) -> PixelCache:
        """One of the same bounds for another process."""
        return PixelCache(len(self.slot), self.size, self.budget_bytes)

    def missing(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.unique(images[self.slot[images] < 0])

    def get(self, images: NDArray[np.int64]) -> Pixels:
        if self.store is None:
            return np.empty((0, *self.size, 3), dtype=np.uint8)
        return self.store[self.slot[images]]

    def put(self, images: NDArray[np.int64], pixels: Pixels) -> None:
        count = min(len(images), self.room - self.used)
        if count <= 0:
            return
        if self.store is None:
            self.store = np.empty((self.room, *self.size, 3), dtype=np.uint8)
        start = self.used
        self.used += count  # first, and the slots last: what a fork finds in between is unused
        self.store[start : start + count] = pixels[:count]
        self.slot[images[:count]] = np.arange(start, start + count)

    def merge(self, images: NDArray[np.int64], fresh: NDArray[np.int64], pixels: Pixels) -> Pixels:
        """The pixels of ``images``; those of ``fresh``, sorted numbers, were just decoded."""
        out = np.empty((len(images), *self.size, 3), dtype=np.uint8)
        place = np.searchsorted(fresh, images).clip(0, len(fresh) - 1)
        new = fresh[place] == images
        out[new] = pixels[place[new]]
        if not new.all():
            out[~new] = self.get(images[~new])
        return out
