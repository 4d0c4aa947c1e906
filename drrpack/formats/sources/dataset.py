"""A dataset of a program as a source: pairs of image and label, as torchvision's datasets give."""

from __future__ import annotations

import operator
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drrpack.core.arrays import Pixels
from drrpack.core.errors import OptionError, SourceError
from drrpack.core.wording import shortened, sides
from drrpack.formats.class_names import names_of_labels
from drrpack.formats.sources.arrays import ArraySplit, content_hash
from drrpack.formats.sources.brightness import (
    NotReadable,
    brightness_remarks,
    samples_of,
    to_rgb,
)
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.opening import Files, Given, LabelledDataset, Opening, path_of
from drrpack.formats.sources.pictures import fit_square
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.splits import Opened, Split, SplitData, refuse_twins

NAME = "dataset"
EXPECTED = (
    "expected a PIL image, a numpy array (H, W), (H, W, 1) or (H, W, 3) of uint8, or a tensor "
    "(1, H, W) or (3, H, W) of uint8 or of floats from 0 to 1"
)
LARGEST_LABEL = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Named:
    """A dataset, and names for its labels that were given beside it."""

    dataset: LabelledDataset
    classes: Sequence[str]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int, /) -> object:
        return self.dataset[index]


class Dataset:
    """A map-style dataset of ``(image, label)``, each item of which is read once."""

    name: str = NAME
    everywhere: str | None = None
    takes: tuple[str, ...] = ()

    def recognises(self, given: Given) -> bool:
        return path_of(given) is None

    def open(self, given: Given, how: Opening) -> Opened:
        assert not isinstance(given, str | os.PathLike)
        called = type(given.dataset if isinstance(given, Named) else given).__name__
        read: dict[Split, _Read] = {"train": _read(given, called, how.reading)}
        if isinstance(how.test, str | os.PathLike):
            raise OptionError(
                f"`test={os.fspath(how.test)!r}`: found a path, expected a dataset of (image, "
                "label) like the source's; or give both as a folder with train/ and test/",
                option="test",
            )
        if how.test is not None:
            read["test"] = _read(how.test, f"{called}, its test split", how.reading)
        names = how.class_names if how.class_names is not None else getattr(given, "classes", None)
        kept, classes = _classes(read["train"].labels, names, called)
        size = _one_size([*read.values()], called)
        splits = {split: _split(found, kept, called) for split, found in read.items()}
        opened: dict[Split, SplitData] = {s: splits[s] for s in how.splits if s in splits}
        deep = [one for found in read.values() for one in found.deep]
        remarks = tuple(brightness_remarks(called, deep, how.reading))
        counts = splits["train"].counts
        return Opened(
            classes, size, counts, opened, remarks=remarks, labels=tuple(kept), name=called
        )

    def files(self, root: Path, labelling: Labelling) -> Files:
        yield from ()


@dataclass(frozen=True)
class _Read:
    """All images of a dataset, each (H, W, 3) uint8, and their labels (N,) int64; those of more
    than 8 bits by name and largest value."""

    called: str
    images: list[Pixels]
    labels: NDArray[np.int64]
    deep: list[tuple[str, float]]


def _read(dataset: LabelledDataset, called: str, reading: Reading) -> _Read:
    """Ask for each item once: the transforms of a dataset may give another image each time."""
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise SourceError(
            f"{called}: found an object without len() and items; expected a path, or a map-style "
            "dataset of (image, label): a dataset that only iterates can be given as list(dataset)"
        )
    images, labels, deep = [], [], []
    for number in range(len(dataset)):
        where = f"{called}[{number}]"
        image, label = _pair(_item(dataset, number, where), where)
        pixels, peak = pixels_of(image, where, reading)
        images.append(pixels)
        labels.append(label)
        deep += [] if peak is None else [(where, peak)]
    if not images:
        raise SourceError(f"{called}: found no items; expected at least one image")
    return _Read(called, images, np.array(labels, np.int64), deep)


def _item(dataset: LabelledDataset, number: int, where: str) -> object:
    """One item of a program's dataset; what it raises is passed on, with a note of which it was."""
    try:
        return dataset[number]
    except Exception as error:
        error.add_note(f"raised by the dataset that drrpack reads, for {where}")
        raise


def _pair(item: object, where: str) -> tuple[object, int]:
    """The image and the label of an item; raises SourceError."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        found = f"{len(item)} values" if isinstance(item, tuple | list) else type(item).__name__
        raise SourceError(f"{where}: found {found}; expected a pair (image, label)")
    image, label = item
    try:
        is_bool = isinstance(label, bool | np.bool_)  # numpy 1 takes its own as numbers
        number = -1 if is_bool else operator.index(label)
    except TypeError:
        number = -1
    if not 0 <= number <= LARGEST_LABEL:
        raise SourceError(
            f"{where}: found the label {shortened(label)}; expected a pair (image, label), "
            "whose label is a whole number, 0 to 2^63 - 1; names belong into `class_names`"
        )
    return image, number


def pixels_of(image: object, where: str, reading: Reading) -> tuple[Pixels, float | None]:
    """An image as (H, W, 3) uint8 RGB, and its largest value where it has more than 8 bits; raises
    SourceError for anything but what is `EXPECTED`."""
    known = image if isinstance(image, Image.Image) else _array(image, where)
    width, height = known.size if isinstance(known, Image.Image) else known.shape[1::-1]
    if 0 in (width, height):  # of which older Pillows make no image
        raise SourceError(f"{where}: found an image of {sides((height, width))}; expected pixels")
    picture = known if isinstance(known, Image.Image) else Image.fromarray(known)
    try:
        rgb, peak = to_rgb(picture, samples_of(picture), reading)
    except NotReadable as error:
        raise SourceError(f"{where}: {error}") from error
    return np.array(rgb if reading.size is None else fit_square(rgb, reading.size)), peak


def _array(image: object, where: str) -> Pixels:
    """An array or a tensor as (H, W) or (H, W, 3) uint8."""
    torch = sys.modules.get("torch")  # a tensor can't be there without it
    if torch is not None and isinstance(image, torch.Tensor):
        known = image.float() if image.is_floating_point() else image  # numpy has no bfloat16
        return _of_tensor(known.detach().cpu().numpy(), where)
    if not isinstance(image, np.ndarray):
        raise SourceError(f"{where}: found an image of type {type(image).__name__}; {EXPECTED}")
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] in ((1,), (3,))):
        raise SourceError(f"{where}: found an array {image.shape} of {image.dtype}; {EXPECTED}")
    return image[..., 0] if image.shape[2:] == (1,) else image


def _of_tensor(image: NDArray[np.generic], where: str) -> Pixels:
    is_float = image.dtype.kind == "f"
    if image.ndim != 3 or image.shape[0] not in (1, 3) or not (is_float or image.dtype == np.uint8):
        raise SourceError(f"{where}: found a tensor {image.shape} of {image.dtype}; {EXPECTED}")
    values = image.astype(np.float64)
    if is_float and not (values.min() >= 0 and values.max() <= 1):  # NaN is neither
        if not np.isfinite(values).all():
            raise SourceError(
                f"{where}: found a tensor with NaN or infinite values; expected floats from 0 to 1"
            )
        raise SourceError(
            f"{where}: found a tensor with values from {values.min():.3g} to {values.max():.3g}; "
            "expected floats from 0 to 1: leave Normalize out of the dataset's transforms"
        )
    bytes_ = np.rint(values * 255 if is_float else values).astype(np.uint8).transpose(1, 2, 0)
    return bytes_[..., 0] if bytes_.shape[2] == 1 else np.ascontiguousarray(bytes_)


def _classes(
    labels: NDArray[np.int64], names: object, called: str
) -> tuple[list[int], tuple[str, ...]]:
    """The labels that occur, in order, and their names; others are no classes of the memory."""
    kept = sorted(Counter(labels.tolist()))
    if names is None:
        return kept, tuple(str(label) for label in kept)
    names = names_of_labels(names, called)
    if kept[-1] >= len(names):
        raise OptionError(
            f"{called}: found the label {kept[-1]} and {len(names)} names of classes; expected a "
            "name for each number from 0 to the largest label, used or not: give `class_names`",
            option="class_names",
        )
    chosen = tuple(unicodedata.normalize("NFC", names[label]) for label in kept)
    if "" in chosen:
        raise OptionError(
            f"{called}: found an empty name for the label {kept[chosen.index('')]}; expected a "
            "name of 1 to 255 bytes: give `class_names`",
            option="class_names",
        )
    refuse_twins(chosen, called)
    return kept, chosen


def _one_size(parts: Sequence[_Read], called: str) -> tuple[int, int]:
    sizes = Counter((image.shape[0], image.shape[1]) for part in parts for image in part.images)
    if len(sizes) > 1:
        (one, _), (two, _), *_ = sizes.most_common()
        raise SourceError(
            f"{called}: found images of {len(sizes)} sizes, such as {sides(one)} and {sides(two)}; "
            f"expected one size: give `size=N` to bring all to N x N pixels"
        )
    return next(iter(sizes))


def _split(found: _Read, kept: Sequence[int], called: str) -> ArraySplit:
    """A split whose labels count in the order of the classes that are kept."""
    if not np.isin(found.labels, kept).all():
        other = int(found.labels[~np.isin(found.labels, kept)][0])
        raise SourceError(
            f"{found.called}: found the label {other}, which no training image has; expected only "
            "classes of the training split: leave those images out"
        )
    images, labels = np.stack(found.images), np.searchsorted(kept, found.labels).astype(np.int64)
    hashes = ((NAME.encode(), content_hash(images, labels)),)
    return ArraySplit(images, labels, len(kept), None, hashes, f"the pictures of {called}")
