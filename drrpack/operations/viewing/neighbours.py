"""The images whose codes are nearest to those of one image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes

SAMPLE_IMAGES = 4000  # of a larger file only about so many are compared, unless all are asked for
ROWS_AT_ONCE = 1 << 14

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbour:
    """An image by its number in the file, and its distance."""

    image: int
    distance: float


@dataclass(frozen=True)
class Neighbours:
    """The nearest images first, and among how many they were found so far."""

    found: tuple[Neighbour, ...]
    images: int  # compared so far, without the image itself
    images_wanted: int
    classes: int  # that these images are all of
    classes_wanted: int

    @property
    def complete(self) -> bool:
        return self.classes == self.classes_wanted


def sampled_classes(images_per_class: NDArray[np.int64], own: int) -> list[int]:
    """Class ``own`` and whole classes from all over the file with `SAMPLE_IMAGES` images together.

    The others are the same for each ``own``. All classes, where the file has no more images.
    """
    if int(images_per_class.sum()) <= SAMPLE_IMAGES:
        return [int(number) for number in np.flatnonzero(images_per_class)]
    chosen, images = {own}, 0
    for number in _spread(len(images_per_class)):
        images += int(images_per_class[number])
        if images > SAMPLE_IMAGES:
            break
        chosen.add(number)
    return sorted(chosen)


def _spread(count: int) -> list[int]:
    """All numbers below ``count`` in an order whose first few lie far apart."""
    golden = (5**0.5 - 1) / 2  # the multiples of which, less their whole parts, spread evenly
    return [int(number) for number in np.argsort(np.arange(1, count + 1) * golden % 1)]


def distances(codec: Codec, one: Codes, others: Codes) -> Floats:
    """Of one image from n others, (n,): the mean over all places of both grids of the squared
    Euclidean distance between the two codebook vectors at that place."""
    tables = [
        _squared(np.asarray(quantiser.codebook.cpu(), np.float64), grid.reshape(-1))
        for quantiser, grid in zip((codec.vqvae.top, codec.vqvae.bottom), one.grids, strict=True)
    ]
    rows = np.concatenate(tables)  # (places, codebook size): from the image's vector at each place
    total, flat = np.zeros(len(others)), others.flat  # (n, places)
    for start in range(0, len(flat), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        for row, column in zip(rows, flat[part].T, strict=True):
            total[part] += row[column]
    return total / max(1, len(rows))


def _squared(codebook: Floats, codes: NDArray[np.integer]) -> Floats:
    """Squared distances (codes, K) of some codes of a codebook (K, D) from all of it."""
    return np.stack([np.square(codebook - codebook[code]).sum(1) for code in codes])


def nearest(
    codec: Codec, one: Codes, own: int, groups: Iterable[tuple[int, Codes]], count: int
) -> list[Neighbour]:
    """The ``count`` nearest images of some classes, without the image ``own`` itself.

    ``groups`` are classes: the number of their first image in the file, and their codes. Of equally
    near images the one with the smaller number comes first.
    """
    best: list[Neighbour] = []
    for start, codes in groups:
        found = distances(codec, one, codes)
        order: Sequence[int] = np.argsort(found, kind="stable")[: count + 1].tolist()
        best += [Neighbour(start + i, float(found[i])) for i in order if start + i != own]
    return sorted(best, key=lambda one: (one.distance, one.image))[:count]
