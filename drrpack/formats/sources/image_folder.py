"""An image folder as a source; opening it reads every picture once and finds all faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from drrpack.formats.sources.checked import open_listing
from drrpack.formats.sources.class_folders import (
    ClassFiles,
    checked_folder,
    find_splits,
    left_out,
    list_splits,
    looks_text,
    refuse_empty,
)
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.listed import ClassPictures, PictureAt
from drrpack.formats.sources.nested_folders import list_nested
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.pictures import Pictures, read_pictures
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.splits import Opened, Split, shown

DIVIDED = (
    "the folders train/ and test/ (or val/), each with one folder for each class: name a folder "
    "that has them"
)


class PictureFiles:
    """Pictures that have a file each."""

    files: str | None = None

    def read(self, pictures: Sequence[PictureAt], reading: Reading) -> Pictures:
        return read_pictures((one.path for one in pictures), reading)


class ImageFolder:
    """A folder of pictures for each class, or a folder with the splits of one."""

    name: str = "folder"
    everywhere: str | None = None
    takes: tuple[str, ...] = ("classes_from",)

    def recognises(self, given: Given) -> bool:
        return path_of(given) is not None

    def open(self, given: Given, how: Opening) -> Opened:
        path = path_of(given)
        assert path is not None
        root = checked_folder(path)
        listing, texts = _without_texts(_list(root, how.labelling), how.splits)
        opened = open_files(listing, how, shown(root), DIVIDED)
        of_folders = left_out(root, find_splits(root), opened.classes)
        remarks = (*of_folders, *_told(texts), *opened.remarks)
        return replace(opened, remarks=remarks, root=root, name=shown(root.name))

    def files(self, root: Path, labelling: Labelling) -> Files:
        yield from listed_files(_list(root, labelling))


def _list(root: Path, labelling: Labelling) -> dict[Split, tuple[ClassFiles, ...]]:
    classes_from = labelling.classes_from
    if classes_from is None:
        return list_splits(find_splits(root))
    return list_splits(find_splits(root), partial(list_nested, classes_from=classes_from))


def _without_texts(
    listing: Mapping[Split, Sequence[ClassFiles]], wanted: Sequence[Split]
) -> tuple[dict[Split, list[ClassFiles]], list[Path]]:
    """The classes without files that are no pictures by their names, and these in wanted splits.

    `listed_files` has them too: by all of its files a folder is known again.
    """
    kept = dict[Split, list[ClassFiles]]()
    texts = list[Path]()
    for split, classes in listing.items():
        kept[split] = []
        for one in classes:
            pictures = tuple(file for file in one.files if not looks_text(file))
            texts += filter(looks_text, one.files if split in wanted else ())
            refuse_empty(one.folder, pictures)
            kept[split].append(replace(one, files=pictures))
    return kept, texts


def _told(texts: Sequence[Path]) -> Iterator[str]:
    """One sentence for all of them."""
    if len(texts) == 1:
        yield f"left out {shown(texts[0])}, which is no picture by its name"
    elif texts:
        yield (
            f"left out {len(texts)} files that are no pictures by their names; the first of them "
            f"is {shown(texts[0])}"
        )


def open_files(
    listing: Mapping[Split, Sequence[ClassFiles]], how: Opening, called: str, divided: str
) -> Opened:
    """As `checked.open_listing`, for classes whose pictures are files."""
    stored = {
        split: [
            ClassPictures(
                one.name, one.folder, tuple(PictureAt(str(f), one.relative(f)) for f in one.files)
            )
            for one in found
        ]
        for split, found in listing.items()
    }
    return open_listing(stored, PictureFiles(), how, called, divided)


def listed_files(listing: Mapping[Split, Sequence[ClassFiles]]) -> Files:
    """Names and places of files, as `PictureSource.files` gives them."""
    for split, classes in listing.items():
        yield split, [(one.relative(path), path) for one in classes for path in one.files]
