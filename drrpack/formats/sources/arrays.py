"""A split whose pictures are all in memory; CIFAR and datasets of a program have such splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drrpack.core.arrays import Pixels
from drrpack.core.errors import SourceError
from drrpack.formats.sources.pictures import fit_square
from drrpack.formats.sources.splits import ALL, Rows


@dataclass(frozen=True)
class ArraySplit:
    """Images (N, H, W, 3) uint8 and labels (N,) int64; ``records`` as of `SplitData`."""

    images: Pixels
    labels: NDArray[np.int64]
    class_count: int
    size: int | None  # bring every picture to size x size when it is asked for
    hashes: tuple[tuple[bytes, bytes], ...]
    what: str  # in words, such as "CIFAR's pictures"

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(np.bincount(self.labels, minlength=self.class_count).tolist())

    def paths(self, class_index: int) -> list[Path]:
        raise SourceError(f"{self.what} have no files of their own; expected an image folder")

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.hashes

    def load(self, class_index: int, rows: Rows = ALL) -> Pixels:
        of_class = np.flatnonzero(self.labels == class_index)[rows]
        images: Pixels = self.images[of_class]  # a copy, in their own order
        if self.size is None or images.shape[1:3] == (self.size, self.size):
            return images
        made = [np.array(fit_square(Image.fromarray(image), self.size)) for image in images]
        return np.stack(made) if made else np.empty((0, self.size, self.size, 3), np.uint8)


def content_hash(images: Pixels, labels: NDArray[np.int64]) -> bytes:
    """The sha256 of pixels and labels: of their shape, then of both in C order, little-endian."""
    digest = sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.digest()
