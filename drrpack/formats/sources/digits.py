"""scikit-learn's digits as a source: 1,797 grey scans of 8 x 8 pixels, which need no download."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.errors import SourceError
from drrpack.formats.sources.arrays import ArraySplit, content_hash
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.splits import Opened, Split, SplitData

NAME = "digits"
ALWAYS = "sklearn:digits"  # where a folder may have the other name
CLASSES = tuple(str(digit) for digit in range(10))
BRIGHTEST = 16  # scikit-learn has values from 0 to 16
TEST_EVERY = 5  # of each digit, one scan in five is kept for testing


class Digits:
    """What ``encode("sklearn:digits", ...)`` reads; ``"digits"`` as well unless a folder has that
    name."""

    name: str = NAME
    everywhere: str | None = NAME
    takes: tuple[str, ...] = ()

    def recognises(self, given: Given) -> bool:
        path = path_of(given)
        named = path is not None and str(path) in (NAME, ALWAYS)
        return named and not os.path.lexists(str(path))

    def open(self, given: Given, how: Opening) -> Opened:
        images, labels = _load()
        tested = np.concatenate([np.flatnonzero(labels == d)[::TEST_EVERY] for d in range(10)])
        is_test = np.isin(np.arange(len(labels)), tested)
        size = how.reading.size
        parts: dict[Split, ArraySplit] = {
            "train": _split(images[~is_test], labels[~is_test], size),
            "test": _split(images[is_test], labels[is_test], size),
        }
        splits: dict[Split, SplitData] = {name: parts[name] for name in how.splits}
        side = size or images.shape[1]
        return Opened(CLASSES, (side, side), parts["train"].counts, splits, name=NAME)

    def files(self, root: Path, labelling: Labelling) -> Files:
        yield from ()


def taken_for_a_folder(given: Given) -> list[str]:
    """A remark on what has the name of the digits and is read in their place; else none."""
    if path_of(given) != Path(NAME) or not os.path.lexists(NAME):
        return []
    return [
        f"{NAME}: this is read from {Path(NAME).absolute()}; scikit-learn's digits, which have the "
        f"same name, are {ALWAYS}"
    ]


def _load() -> tuple[Pixels, NDArray[np.int64]]:
    """Images (1797, 8, 8, 3) uint8 and labels (1797,); raises SourceError without scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SourceError(
            "digits: found no folder of that name, and scikit-learn, which has images of that "
            "name, is not installed; expected one of them: pip install 'drrpack[demo]', or check "
            "the path"
        ) from error
    digits = load_digits()
    grey = np.rint(digits.images * (255 / BRIGHTEST)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3), digits.target.astype(np.int64)


def _split(images: Pixels, labels: NDArray[np.int64], size: int | None) -> ArraySplit:
    hashes = ((NAME.encode(), content_hash(images, labels)),)
    return ArraySplit(images, labels, len(CLASSES), size, hashes, "scikit-learn's digits")
