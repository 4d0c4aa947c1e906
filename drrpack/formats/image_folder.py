"""An image folder as a source: every picture is read once on opening, so that all is known."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from drrpack.errors import SourceError
from drrpack.formats.class_folders import ClassFiles, find_splits, list_splits
from drrpack.formats.pictures import FORMATS, Picture, read_pictures
from drrpack.formats.splits import BadImage, Opened, Pixels, Split, SplitData, shown

KEEP_BUDGET_BYTES = 2 << 30  # all of CIFAR or Tiny-ImageNet; what is larger is decoded again
SHOWN_BAD = 5


@dataclass(frozen=True)
class CheckedFile:
    """A file that was read on opening: the sha256 of its bytes, the (height, width) it gives."""

    path: Path
    sha256: bytes
    size: tuple[int, int]


Checked: TypeAlias = dict[Split, dict[str, tuple[CheckedFile, ...]]]
Listing: TypeAlias = Mapping[Split, Sequence[ClassFiles]]


@dataclass
class PixelStore:
    """Pixels kept from opening, all of them or, once they pass the budget, none."""

    budget_bytes: int
    full: bool = False
    kept: dict[tuple[Split, int], Pixels] = field(default_factory=dict)

    def offer(self, key: tuple[Split, int], pictures: Sequence[Picture]) -> None:
        """Keep the pictures of one class if they still fit, and are of one size."""
        self.budget_bytes -= sum(picture.pixels.nbytes for picture in pictures)
        one_size = len({picture.pixels.shape for picture in pictures}) == 1
        self.full = self.full or self.budget_bytes < 0 or not one_size
        if self.full:
            self.kept.clear()
        else:
            self.kept[key] = np.stack([picture.pixels for picture in pictures])


@dataclass(frozen=True)
class FolderSplit:
    """One split of an image folder, all of whose files have been checked."""

    split: Split
    classes: tuple[str, ...]
    files: tuple[tuple[CheckedFile, ...], ...]
    image_size: tuple[int, int]
    size: int | None
    store: PixelStore

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(len(files) for files in self.files)

    def paths(self, class_index: int) -> list[Path]:
        return [file.path for file in self.files[class_index]]

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        for name, files in zip(self.classes, self.files, strict=True):
            for file in files:
                yield name.encode() + b"/" + os.fsencode(file.path.name), file.sha256

    def load(self, class_index: int) -> Pixels:
        """The pictures of one class: (n, H, W, 3) uint8, the caller's own."""
        kept = self.store.kept.get((self.split, class_index))
        if kept is not None:
            return kept.copy()
        files = self.files[class_index]
        images = np.empty((len(files), *self.image_size, 3), np.uint8)
        for i, read in enumerate(read_pictures(self.paths(class_index), self.size)):
            if isinstance(read, BadImage) or read.sha256 != files[i].sha256:
                raise SourceError(
                    f"{shown(files[i].path)}: changed since the source was opened; expected the "
                    "same bytes: leave the folder alone while it is read, and start again"
                )
            images[i] = read.pixels
        return images


def open_folder(
    root: Path, size: int | None, skip_bad: bool, splits: Sequence[Split], keep_bytes: int
) -> Opened:
    """List, read and check an image folder; raises SourceError, see ``sources.open_source``."""
    listing = list_splits(find_splits(root))
    classes = tuple(found.name for found in listing["train"])
    wanted = {split: found for split, found in listing.items() if split in splits}
    if not wanted:
        raise SourceError(
            f"{shown(root)}: found no {' or '.join(splits)} split; expected the folders train/ and "
            "test/ (or val/), each with one folder for each class: name a folder that has them"
        )
    store = PixelStore(keep_bytes)
    checked, bad = _read_all(wanted, classes, size, store)
    if bad and not skip_bad:
        raise SourceError(_bad_message(bad, wanted))
    _refuse_emptied_classes(wanted, checked)
    image_size = _one_size([f for s in checked.values() for files in s.values() for f in files])
    opened: dict[Split, SplitData] = {}
    for split, found in checked.items():
        files = tuple(found.get(name, ()) for name in classes)
        opened[split] = FolderSplit(split, classes, files, image_size, size, store)
    listed = tuple(len(found.files) for found in listing["train"])
    counts = opened["train"].counts if "train" in opened else listed
    return Opened(classes, image_size, counts, opened, tuple(bad))


def _read_all(
    listing: Listing, classes: Sequence[str], size: int | None, store: PixelStore
) -> tuple[Checked, list[BadImage]]:
    """Decode every file once, one class after the other; bad files are collected, not raised."""
    checked: Checked = {}
    bad: list[BadImage] = []
    for split, found_classes in listing.items():
        checked[split] = {}
        for found in found_classes:
            read = read_pictures(found.files, size)
            good = [picture for picture in read if isinstance(picture, Picture)]
            bad += [picture for picture in read if isinstance(picture, BadImage)]
            store.offer((split, classes.index(found.name)), good)
            checked[split][found.name] = tuple(
                CheckedFile(p.path, p.sha256, (p.pixels.shape[0], p.pixels.shape[1])) for p in good
            )
    return checked, bad


def _bad_message(bad: Sequence[BadImage], listing: Listing) -> str:
    total = sum(len(found.files) for classes in listing.values() for found in classes)
    lines = [f"{shown(image.path)}: {image.reason}" for image in bad[:SHOWN_BAD]]
    if len(bad) > SHOWN_BAD:
        lines.append(f"and {len(bad) - SHOWN_BAD} more")
    return (
        "\n".join(lines) + f"\nfound {len(bad)} of {total} files that can't be read; expected "
        f"pictures ({', '.join(FORMATS)}): remove or replace them, or leave them out with "
        "--skip-bad"
    )


def _refuse_emptied_classes(listing: Listing, checked: Checked) -> None:
    for split, classes in listing.items():
        for found in classes:
            if not checked[split][found.name]:
                raise SourceError(
                    f"{shown(found.folder)}: found {len(found.files)} files, none of which can be "
                    "read as a picture; expected at least one: remove the folder, or replace them"
                )


def _one_size(files: Sequence[CheckedFile]) -> tuple[int, int]:
    """The (height, width) all pictures share; raises SourceError where they are mixed."""
    sizes = Counter(file.size for file in files)
    if len(sizes) == 1:
        return files[0].size
    first = files[0]
    other = next(file for file in files if file.size != first.size)
    named = " and ".join(
        f"{shown(file.path)} ({file.size[1]} x {file.size[0]})" for file in (first, other)
    )
    raise SourceError(
        f"found pictures of {len(sizes)} sizes, such as {named}; expected one size: give --size N "
        "to bring all to N x N pixels"
    )
