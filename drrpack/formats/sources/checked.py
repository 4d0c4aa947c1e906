"""Pictures that a source stores as files, archive members or cells: each one is read and checked.

Opening such a source decodes every picture once and finds all faults. Pixels stay in memory up to
a budget; where they do not fit, each class is decoded again when it is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drrpack.core.arrays import Pixels
from drrpack.core.errors import SourceError
from drrpack.core.wording import sides
from drrpack.formats.sources.brightness import brightness_remarks
from drrpack.formats.sources.listed import ClassPictures, Listing, PictureAt, Storage
from drrpack.formats.sources.opening import Opening
from drrpack.formats.sources.pictures import FORMATS
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.splits import (
    ALL,
    BadImage,
    Opened,
    Rows,
    Split,
    SplitData,
    shown,
)

SHOWN_BAD = 5


@dataclass(frozen=True, slots=True)
class Checked:
    """A picture that was read on opening: the sha256 of its bytes, the (height, width) it gives,
    and ``Picture.peak``."""

    stored: PictureAt
    sha256: bytes
    size: tuple[int, int]
    peak: float | None


@dataclass
class PixelStore:
    """Pixels kept from opening, all of them or, once they pass the budget, none."""

    budget_bytes: int
    kept: dict[tuple[Split, int], list[Pixels]] = field(default_factory=dict)

    def add(self, key: tuple[Split, int], pixels: Pixels) -> None:
        """Keep one picture if all pictures so far fit."""
        self.budget_bytes -= pixels.nbytes
        if self.budget_bytes < 0:
            self.kept.clear()
        else:
            self.kept.setdefault(key, []).append(pixels)

    def stacked(self) -> dict[tuple[Split, int], Pixels]:
        """The kept pictures, (n, H, W, 3) for each class; they must be of one size."""
        return {key: np.stack(self.kept.pop(key)) for key in list(self.kept)}


@dataclass(frozen=True)
class CheckedSplit:
    """One split of a source, all of whose pictures have been checked."""

    split: Split
    classes: tuple[str, ...]
    pictures: tuple[tuple[Checked, ...], ...]  # of each class
    image_size: tuple[int, int]
    reading: Reading
    storage: Storage
    kept: Mapping[tuple[Split, int], Pixels]

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(len(pictures) for pictures in self.pictures)

    def paths(self, class_index: int) -> list[Path]:
        if self.storage.files is not None:
            raise SourceError(
                f"{self.storage.files} have no files of their own; expected an image folder"
            )
        return [picture.stored.path for picture in self.pictures[class_index]]

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        for pictures in self.pictures:
            for picture in pictures:
                yield picture.stored.name, picture.sha256

    def load(self, class_index: int, rows: Rows = ALL) -> Pixels:
        kept = self.kept.get((self.split, class_index))
        if kept is not None:
            return kept[rows].copy()
        numbers = np.arange(len(self.pictures[class_index]))[rows]
        pictures = [self.pictures[class_index][number] for number in numbers]
        images = np.empty((len(pictures), *self.image_size, 3), np.uint8)
        stored = [picture.stored for picture in pictures]
        with closing(self.storage.read(stored, self.reading)) as found:
            for image, picture, read in zip(images, pictures, found, strict=True):
                if isinstance(read, BadImage) or read.sha256 != picture.sha256:
                    raise SourceError(
                        f"{shown(picture.stored.path)}: changed since the source was opened; "
                        "expected the same bytes: leave the source alone while it is read, and "
                        "start again"
                    )
                image[:] = read.pixels
        return images


def open_listing(
    listing: Listing, storage: Storage, how: Opening, called: str, divided: str
) -> Opened:
    """Read and check the pictures of the splits that ``how`` asks for.

    Args:
        listing: the classes of each split; those of the training split are the source's.
        storage: reads the pictures.
        called: the source, in messages.
        divided: what must be there for a source of this kind to have splits, in messages.

    Raises:
        SourceError: a picture can't be read, a class is empty, the sizes differ, or there is none
            of the splits.
    """
    classes = tuple(found.name for found in listing["train"])
    store, bad = PixelStore(how.keep_bytes), list[BadImage]()
    wanted = {split: found for split, found in listing.items() if split in how.splits}
    if not wanted:
        raise SourceError(f"{called}: found no {' or '.join(how.splits)} split; expected {divided}")
    checked = {
        split: _read_split(split, found, classes, storage, how, store, bad)
        for split, found in wanted.items()
    }
    if bad and not how.skip_bad:
        raise SourceError(_bad_message(bad, wanted, storage))
    _refuse_emptied_classes(wanted, checked, classes, storage, called)
    every = [one for split in checked.values() for pictures in split for one in pictures]
    image_size = _one_size(every)
    kept = store.stacked()
    splits: dict[Split, SplitData] = {
        split: CheckedSplit(split, classes, pictures, image_size, how.reading, storage, kept)
        for split, pictures in checked.items()
    }
    listed = tuple(len(found.pictures) for found in listing["train"])
    counts = splits["train"].counts if "train" in splits else listed
    deep = [(shown(one.stored.path), one.peak) for one in every if one.peak is not None]
    dark = tuple(brightness_remarks(called, deep, how.reading))
    return Opened(classes, image_size, counts, splits, tuple(bad), dark)


def _read_split(
    split: Split, found: Sequence[ClassPictures], classes: Sequence[str], storage: Storage,
    how: Opening, store: PixelStore, bad: list[BadImage],
) -> tuple[tuple[Checked, ...], ...]:  # fmt: skip
    """Decode every picture of a split once, in the order of storage; bad ones are collected.

    Each of several processes decodes a part of them, and tells the others what it has found.
    """
    number_of = {name: number for number, name in enumerate(classes)}
    owned = [(one, number_of[of_class.name]) for of_class in found for one in of_class.pictures]
    owned.sort(key=lambda owner: owner[0].place)
    ends = [len(owned) * n // how.sharing.size for n in range(how.sharing.size + 1)]
    mine = owned[ends[how.sharing.rank] : ends[how.sharing.rank + 1]]
    keep = store.add if how.sharing.size == 1 else None
    read = [*_checked(split, mine, storage, how.reading, keep)]
    good: list[list[Checked]] = [[] for _ in classes]
    for number, one in (pair for part in how.sharing.of_all(read) for pair in part):
        if isinstance(one, BadImage):
            bad.append(one)
        else:
            good[number].append(one)
    return tuple(tuple(pictures) for pictures in good)


def _checked(
    split: Split, owned: Sequence[tuple[PictureAt, int]], storage: Storage, reading: Reading,
    keep: Callable[[tuple[Split, int], Pixels], None] | None,
) -> Iterator[tuple[int, Checked | BadImage]]:  # fmt: skip
    """What becomes of each picture, with the number of its class."""
    sizes: dict[tuple[int, int], tuple[int, int]] = {}  # of equal ones a single value is kept
    pictures = [one for one, _ in owned]
    with closing(storage.read(pictures, reading)) as found:
        for (one, number), read in zip(owned, found, strict=True):
            if isinstance(read, BadImage):
                yield number, read
                continue
            if keep is not None:
                keep((split, number), read.pixels)
            size = (read.pixels.shape[0], read.pixels.shape[1])
            yield number, Checked(one, read.sha256, sizes.setdefault(size, size), read.peak)


def _bad_message(bad: Sequence[BadImage], listing: Listing, storage: Storage) -> str:
    total = sum(len(found.pictures) for classes in listing.values() for found in classes)
    what = "files" if storage.files is None else "pictures"
    lines = [f"{shown(image.path)}: {image.reason}" for image in bad[:SHOWN_BAD]]
    lines += [f"and {len(bad) - SHOWN_BAD} more"] if len(bad) > SHOWN_BAD else []
    return (
        "\n".join(lines) + f"\nfound {len(bad)} of {total} {what} that can't be read; expected "
        f"pictures ({', '.join(FORMATS)}): remove or replace them, or leave them out with "
        "`skip_bad=True`"
    )


def _refuse_emptied_classes(
    listing: Listing, checked: Mapping[Split, Sequence[Sequence[Checked]]],
    classes: Sequence[str], storage: Storage, called: str,
) -> None:  # fmt: skip
    numbers = {name: number for number, name in enumerate(classes)}
    for split, found_classes in listing.items():
        for found in found_classes:
            if not checked[split][numbers[found.name]]:
                raise SourceError(_emptied(found, storage, called))


def _emptied(found: ClassPictures, storage: Storage, called: str) -> str:
    """What is said of a class none of whose pictures can be read; folders have names, and classes
    in other sources do."""
    none = "none of which can be read as a picture; expected at least one"
    count = len(found.pictures)
    if storage.files is None:
        where, fix = shown(found.where), "remove the folder, or replace its files"
        return f"{where}: found {count} files, {none}: {fix}"
    fix = "remove the class, or replace them"
    return f"{called}: found {count} pictures of the class {found.name!r}, {none}: {fix}"


def _one_size(pictures: Sequence[Checked]) -> tuple[int, int]:
    """The (height, width) all pictures share; raises SourceError where they are mixed."""
    sizes = Counter(picture.size for picture in pictures)
    if len(sizes) == 1:
        return pictures[0].size
    first = pictures[0]
    other = next(picture for picture in pictures if picture.size != first.size)
    named = " and ".join(f"{shown(one.stored.path)} ({sides(one.size)})" for one in (first, other))
    raise SourceError(
        f"found pictures of {len(sizes)} sizes, such as {named}; expected one size: give `size=N` "
        "to bring all to N x N pixels"
    )
