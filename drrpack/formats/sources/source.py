"""Labelled pictures of any kind, as a source to encode or to test on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.errors import OptionError, SourceError
from drrpack.formats.sources.cifar import download
from drrpack.formats.sources.dataset import NAME as DATASET
from drrpack.formats.sources.digits import taken_for_a_folder
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.opening import (
    KEEP_BUDGET_BYTES,
    Given,
    LabelledDataset,
    Opening,
    PictureSource,
    path_of,
)
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.registry import kind_named, kind_of
from drrpack.formats.sources.splits import (
    ALL,
    SPLITS,
    BadImage,
    Rows,
    Split,
    SplitData,
    content_digest,
    shown,
)

__all__ = [
    "BadImage", "Given", "LabelledDataset", "Opening", "Source", "Split", "download", "open_as",
    "open_source", "reopened",
]  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Labelled pictures of one size; ``open_source`` makes it and has checked every picture."""

    root: Path | None  # the folder; None where the pictures are in none
    name: str  # the folder's, or what else the source is called
    kind: str  # of `drrpack.formats.sources.registry`
    classes: tuple[str, ...]  # NFC; sorted by name for folders, in the data set's order for CIFAR
    image_size: tuple[int, int]  # (height, width)
    images_per_class: tuple[int, ...]  # of the training split
    bad: tuple[BadImage, ...] = ()  # what skip_bad left out
    remarks: tuple[str, ...] = ()  # what may not be as it was meant, in words
    labels: tuple[int, ...] | None = None  # of the classes in a dataset of a program
    reading: Reading = field(default_factory=Reading)  # by which the pictures were read
    labelling: Labelling = field(default_factory=Labelling)  # and their classes were told
    _splits: Mapping[Split, SplitData] = field(default_factory=dict, repr=False, compare=False)

    @property
    def place(self) -> str:
        """Where the pictures are, for a message."""
        return self.name if self.root is None else str(self.root)

    @property
    def has_test(self) -> bool:
        """Whether there is a test split, and it was opened."""
        return "test" in self._splits

    def load(self, class_index: int, split: Split = "train", rows: Rows = ALL) -> Pixels:
        """The pictures of one class: (n, H, W, 3) uint8 RGB, a copy that the caller may change.

        Sorted by file name; for CIFAR in the order of its files. A class that the test split
        lacks has n = 0. ``rows`` are some of them, in rising order: no others are read. Raises
        SourceError where a file has changed since opening.
        """
        return self._split(split).load(class_index, rows)

    def counts(self, split: Split) -> tuple[int, ...]:
        """How many pictures of each class a split has."""
        return self._split(split).counts

    def load_all(self, split: Split = "train") -> tuple[Pixels, NDArray[np.int64]]:
        """All pictures (N, H, W, 3) uint8 and labels (N,) int64, one class after the other."""
        counts = self.counts(split)
        images = np.empty((sum(counts), *self.image_size, 3), np.uint8)
        labels = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        for class_index in range(len(counts)):
            images[labels == class_index] = self.load(class_index, split)
        return images, labels

    def paths(self, class_index: int, split: Split = "train") -> list[Path]:
        """The files of one class, in the order of ``load``; image folders only."""
        return self._split(split).paths(class_index)

    def holds(self, path: Path) -> bool:
        """Whether a file that is there is one of those that the source is read from."""
        kind = kind_named(self.kind)
        if self.root is None or kind is None or not path.exists():
            return False
        files = [self.root, *(f for _, of in kind.files(self.root, self.labelling) for _, f in of)]
        return any(os.path.exists(file) and os.path.samefile(file, path) for file in files)

    def digest(self, split: Split = "train") -> str:
        """The sha256 of a split's content, in hex: the same wherever the source lies.

        It is taken over these bytes, a ``field`` being its length as 8 bytes little-endian and
        then its bytes:

        - ``drrpack-source-1`` and a zero byte;
        - the number of classes as 8 bytes little-endian, then each class name, a field in UTF-8,
          in the order of ``classes`` (those of the training split, for the test split too);
        - for each file, the field of its path and the 32 bytes of the sha256 of its content.

        The files of an image folder are those that ``load`` reads, class by class, sorted by
        name, with the path ``class/name`` below the split's folder (the class in NFC, the name
        as on the disk). Those of CIFAR are the split's batch files, in their order. A split without
        files counts as one, of what `arrays.content_hash` takes. Neither ``size`` nor times, owners
        and links change it, but for a dataset, which is read once, at that size. Files have been
        read on opening, so this reads none.
        """
        return content_digest(self.classes, self._split(split).records())

    def _split(self, split: Split) -> SplitData:
        if split not in self._splits:
            raise SourceError(
                f"{shown(self.place)}: found no {split} split, or it was not opened; expected the "
                "folders train/ and test/ (or val/), or a CIFAR folder: name one that has it"
            )
        return self._splits[split]


def open_source(
    source: Given,
    *,
    size: int | None = None,
    depth: int | None = None,
    value_range: tuple[float, float] | None = None,
    max_megapixels: float | None = None,
    skip_bad: bool = False,
    splits: Sequence[Split] = SPLITS,
    keep_bytes: int = KEEP_BUDGET_BYTES,
    class_names: Sequence[str] | None = None,
    test: LabelledDataset | None = None,
    labelling: Labelling | None = None,
) -> Source:
    """Open labelled pictures and check all of them: every file is read and decoded once.

    ``source`` is one of

    - an image folder, ``source/class/*.png`` (or any format in ``pictures.FORMATS``);
    - a folder with ``train/`` and perhaps ``test/`` or ``val/`` (``valid/``, ``validation/``) in
      it, each an image folder. Where both are there ``test`` is the test split and ``val`` is not
      read. Another folder that looks like a split is told of in ``remarks``;
    - ``cifar-100-python/`` or ``cifar-10-batches-py/``, or a folder that holds one of them;
    - ``"sklearn:digits"``, or ``"digits"`` where nothing has that name: scikit-learn's digits;
    - a ``.npz``, ``.csv``, ``.parquet`` or ``.tar`` file, a pattern such as ``a-{0..9}.tar``, or a
      folder of such tables or tars; docs/sources.md describes them;
    - a map-style dataset of ``(image, label)``, see ``dataset.EXPECTED``: its training split.

    ``brightness.to_rgb`` converts grey, palette, 16-bit and CMYK pictures to RGB. Transparency is
    dropped, not blended. EXIF's orientation is applied. Only the first of several frames is used.
    Hidden files are ignored; texts and lists in class folders (``class_folders.TEXT_EXTENSIONS``)
    are left out and told of in ``remarks``.

    Args:
        size: bring every picture to size x size: the shorter side to ``size`` by Pillow's
            antialiased bicubic filter, the longer cut to the centre; by default all have one size.
        depth, value_range: what is black and what is white in grey pictures of more than 8 bits:
            integers from 0 to 2^depth - 1, or the two values. 32-bit and signed integers and floats
            can't be read without; 16 bits, with white at 65535, come out dark if fewer are used.
        max_megapixels: read pictures of up to so many millions of pixels, by default of up to
            Pillow's ``Image.MAX_IMAGE_PIXELS``: a small file may hold an enormous picture.
        skip_bad: leave out files that can't be read as pictures and list them in ``bad``.
        splits: those to open, where they are there; the others are listed but not decoded.
        keep_bytes: pixels up to this many bytes stay in memory, more are decoded again.
        class_names: names for the labels of a dataset, by default those in ``source.classes``, or
            else the labels themselves.
        test: a dataset of the same kind, for its test split.
        labelling: which folders or columns have the classes, where several could.

    Raises:
        SourceError: it can't be read; the message names the file and the fix.
        OptionError: a number is out of range.
    """
    reading = Reading(size, depth, value_range, max_megapixels)
    choices = labelling or Labelling()
    opening = Opening(reading, skip_bad, splits, keep_bytes, class_names, test, choices)
    return open_as(source, opening)


def open_as(source: Given, how: Opening) -> Source:
    """As `open_source`, with all that is said in one value."""
    how.reading.check()
    kind = kind_of(source)
    for option in how.labelling.check().said:
        if option not in kind.takes:
            raise OptionError(
                f"{_called(source)}: found `{option}`, which has no meaning for a source of the "
                f"kind {kind.name!r}: leave it out",
                option=option,
            )
    if kind.name != DATASET and (how.class_names is not None or how.test is not None):
        given = "class_names" if how.class_names is not None else "test"
        raise OptionError(
            f"{source}: found `{given}`, which is for a dataset of a program; expected a folder to "
            "have its own classes and splits: leave it out",
            option=given,
        )
    opened = _opened(kind, source, how)
    return replace(opened, remarks=(*taken_for_a_folder(source), *opened.remarks))


def _called(source: Given) -> str:
    path = path_of(source)
    return type(source).__name__ if path is None else shown(path)


def reopened(kind: object, how: Opening) -> Source | None:
    """The source of a kind whose pictures are the same on every machine; None for other kinds."""
    found = kind_named(kind) if isinstance(kind, str) else None
    if found is None or found.everywhere is None:
        return None
    return _opened(found, found.everywhere, how)


def _opened(kind: PictureSource, source: Given, how: Opening) -> Source:
    opened = kind.open(source, how)
    return Source(
        root=opened.root,
        name=opened.name,
        kind=kind.name,
        classes=opened.classes,
        image_size=opened.image_size,
        images_per_class=opened.counts,
        bad=opened.bad,
        remarks=opened.remarks,
        labels=opened.labels,
        reading=how.reading,
        labelling=how.labelling,
        _splits=opened.splits,
    )
