"""An image folder as a source; opening it reads every picture once and finds all faults."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from drrpack.core.errors import SourceError
from drrpack.formats.sources.brightness import brightness_remarks
from drrpack.formats.sources.class_folders import (
    ClassFiles,
    checked_folder,
    find_splits,
    left_out,
    list_splits,
)
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.pictures import FORMATS, Picture, read_pictures
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.splits import BadImage, Opened, Pixels, Split, SplitData, shown

SHOWN_BAD = 5


@dataclass(frozen=True)
class CheckedFile:
    """A file that was read on opening: the sha256 of its bytes, the (height, width) it gives, and
    ``Picture.peak``."""

    path: Path
    sha256: bytes
    size: tuple[int, int]
    peak: float | None


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
    reading: Reading
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
        for i, read in enumerate(read_pictures(self.paths(class_index), self.reading)):
            if isinstance(read, BadImage) or read.sha256 != files[i].sha256:
                raise SourceError(
                    f"{shown(files[i].path)}: changed since the source was opened; expected the "
                    "same bytes: leave the folder alone while it is read, and start again"
                )
            images[i] = read.pixels
        return images


class ImageFolder:
    """A folder of pictures for each class, or a folder with the splits of one."""

    name: str = "folder"
    everywhere: str | None = None

    def recognises(self, given: Given) -> bool:
        return path_of(given) is not None

    def open(self, given: Given, how: Opening) -> Opened:
        path = path_of(given)
        assert path is not None
        root = checked_folder(path)
        opened = open_folder(root, how.reading, how.skip_bad, how.splits, how.keep_bytes)
        return replace(opened, root=root, name=shown(root.name))

    def files(self, root: Path) -> Files:
        for split, classes in list_splits(find_splits(root)).items():
            files = [(f"{one.name}/".encode(), path) for one in classes for path in one.files]
            yield split, [(start + os.fsencode(path.name), path) for start, path in files]


def open_folder(
    root: Path, reading: Reading, skip_bad: bool, splits: Sequence[Split], keep_bytes: int
) -> Opened:
    """List, read and check an image folder; raises SourceError, see ``source.open_source``."""
    folders = find_splits(root)
    listing = list_splits(folders)
    classes = tuple(found.name for found in listing["train"])
    wanted = {split: found for split, found in listing.items() if split in splits}
    if not wanted:
        raise SourceError(
            f"{shown(root)}: found no {' or '.join(splits)} split; expected the folders train/ and "
            "test/ (or val/), each with one folder for each class: name a folder that has them"
        )
    store = PixelStore(keep_bytes)
    checked, bad = _read_all(wanted, classes, reading, store)
    if bad and not skip_bad:
        raise SourceError(_bad_message(bad, wanted))
    _refuse_emptied_classes(wanted, checked)
    every = [file for found in checked.values() for files in found.values() for file in files]
    image_size = _one_size(every)
    opened: dict[Split, SplitData] = {}
    for split, found in checked.items():
        files = tuple(found.get(name, ()) for name in classes)
        opened[split] = FolderSplit(split, classes, files, image_size, reading, store)
    listed = tuple(len(found.files) for found in listing["train"])
    counts = opened["train"].counts if "train" in opened else listed
    deep = [(shown(file.path), file.peak) for file in every if file.peak is not None]
    dark = brightness_remarks(shown(root), deep, reading)
    remarks = [*left_out(root, folders, classes), *dark]
    return Opened(classes, image_size, counts, opened, tuple(bad), tuple(remarks))


def _read_all(
    listing: Listing, classes: Sequence[str], reading: Reading, store: PixelStore
) -> tuple[Checked, list[BadImage]]:
    """Decode every file once, one class after the other; bad files are collected, not raised."""
    checked: Checked = {}
    bad: list[BadImage] = []
    for split, found_classes in listing.items():
        checked[split] = {}
        for found in found_classes:
            read = read_pictures(found.files, reading)
            good = [picture for picture in read if isinstance(picture, Picture)]
            bad += [picture for picture in read if isinstance(picture, BadImage)]
            store.offer((split, classes.index(found.name)), good)
            checked[split][found.name] = tuple(
                CheckedFile(p.path, p.sha256, (p.pixels.shape[0], p.pixels.shape[1]), p.peak)
                for p in good
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
        "`skip_bad=True`"
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
        f"found pictures of {len(sizes)} sizes, such as {named}; expected one size: give `size=N` "
        "to bring all to N x N pixels"
    )
