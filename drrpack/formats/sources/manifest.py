"""A CSV file that lists pictures and their classes, or a flat folder with such a file in it."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from drrpack.core.errors import SourceError
from drrpack.formats.sources import columns
from drrpack.formats.sources.class_folders import (
    TEST_NAME,
    TRAIN_NAME,
    VAL_NAMES,
    ClassFiles,
    looks_picture,
    visible,
)
from drrpack.formats.sources.image_folder import listed_files, open_files
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.labels import number_labels
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.shards import checked_files, is_shard
from drrpack.formats.sources.splits import Opened, Split, shown

ENDINGS = (".csv",)
IN_FOLDERS = (
    "labels.csv",
    "metadata.csv",
)  # the first that is there lists a flat folder's pictures
SPLIT_COLUMN = "split"
DIVIDED = f"a column {SPLIT_COLUMN!r} with the words {TRAIN_NAME} and {TEST_NAME} (or val)"
EXPECTED = "expected a header such as path,label and a line for each picture"


@dataclass(frozen=True)
class _Row:
    """One picture of the list: its path as it is written, its class and its split."""

    line: int
    path: str
    label: str
    split: str


class Manifest:
    """A list of pictures with paths relative to the list itself."""

    name: str = "csv"
    everywhere: str | None = None
    takes: tuple[str, ...] = ("image_column", "label_column")

    def recognises(self, given: Given) -> bool:
        path = path_of(given)
        return path is not None and (is_shard(path, ENDINGS) or _in_flat_folder(path) is not None)

    def open(self, given: Given, how: Opening) -> Opened:
        path = path_of(given)
        assert path is not None
        root = Path(os.path.abspath(path))
        listing = _list(root, how.labelling)
        opened = open_files(listing, how, shown(root), DIVIDED)
        return replace(opened, root=root, name=shown(root.name))

    def files(self, root: Path, labelling: Labelling) -> Files:
        yield from listed_files(_list(root, labelling))


def _in_flat_folder(root: Path) -> Path | None:
    """The list in a folder of pictures without class folders; None where there is none."""
    if not os.path.isdir(root):
        return None
    lists = [root / name for name in IN_FOLDERS if os.path.isfile(root / name)]
    if not lists:
        return None
    entries = visible(root)
    flat = any(map(looks_picture, entries)) and not any(map(os.path.isdir, entries))
    return lists[0] if flat else None


def _list(root: Path, labelling: Labelling) -> dict[Split, tuple[ClassFiles, ...]]:
    """The classes of each split, sorted by name, and their files, sorted by path."""
    path = _in_flat_folder(root) or root
    checked_files([path])
    by_split = _by_split(path, _rows(path, labelling))
    labels = {split: [row.label for row in rows] for split, rows in by_split.items()}
    classes, numbers = number_labels(
        labels, None, shown(path), lambda split, i: _where(path, by_split[split][i])
    )
    listing: dict[Split, tuple[ClassFiles, ...]] = {}
    for split, rows in by_split.items():
        files: dict[int, list[Path]] = defaultdict(list)
        for row, number in zip(rows, numbers[split].tolist(), strict=True):
            files[number].append(path.parent / row.path)
        listing[split] = tuple(
            ClassFiles(classes[number], path.parent, tuple(sorted(files[number], key=os.fsencode)))
            for number in sorted(files)
        )
    return listing


def _rows(path: Path, labelling: Labelling) -> list[_Row]:
    """All lines after the header; raises SourceError for what is no such list."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restkey="")
            header = list(reader.fieldnames or ())
            names = _columns(path, header, labelling)
            rows = [_row(path, reader.line_num, line, header, names) for line in reader]
    except UnicodeDecodeError as error:
        raise SourceError(f"{shown(path)}: found text that is not UTF-8; {EXPECTED}") from error
    except (OSError, csv.Error) as error:
        raise SourceError(f"{shown(path)}: can't be read: {error}; {EXPECTED}") from error
    if not rows:
        raise SourceError(f"{shown(path)}: found no lines after the header; {EXPECTED}")
    _refuse_twice(path, rows)
    return rows


def _columns(path: Path, header: Sequence[str], labelling: Labelling) -> tuple[str, str]:
    """The names of the columns with the paths and with the classes."""
    if len(set(header)) < len(header) or not header:
        raise SourceError(f"{shown(path)}: found the header {','.join(header)!r}; {EXPECTED}")
    usual = {"image": columns.IMAGE_NAMES, "label": columns.LABEL_NAMES}
    said = labelling.image_column, labelling.label_column
    could = [
        [name for name in header if said_name is not None or name in usual[what]]
        for what, said_name in zip(usual, said, strict=True)
    ]
    image = columns.image_column(said[0], could[0], header, shown(path))
    return image, columns.label_column(said[1], could[1], header, shown(path))


def _row(
    path: Path, line: int, found: Mapping[str, str | list[str] | None], header: Sequence[str],
    names: tuple[str, str],
) -> _Row:  # fmt: skip
    values = [found.get(name) for name in header]
    if "" in found.keys() - set(header) or None in values:
        raise SourceError(
            f"{shown(path)}: found line {line} with another number of values than the header has, "
            f"{len(header)}; {EXPECTED}: put quotes around a value with a comma in it"
        )
    image, label, split = (str(found.get(name, "")) for name in (*names, SPLIT_COLUMN))
    row = _Row(line, image, label.strip(), split.strip().lower())
    parts = PurePosixPath(image).parts
    if not parts or image.startswith("/") or ".." in parts or "\0" in image:
        raise SourceError(
            f"{_where(path, row)}: found the path {image!r}; expected a path below the folder of "
            "the CSV file: move the file to a folder that holds the pictures"
        )
    if not row.label:
        raise SourceError(f"{_where(path, row)}: found no class; expected one for each picture")
    return row


def _refuse_twice(path: Path, rows: Sequence[_Row]) -> None:
    seen: dict[PurePosixPath, _Row] = {}
    for row in rows:
        before = seen.setdefault(PurePosixPath(row.path), row)
        if before is not row:
            raise SourceError(
                f"{_where(path, row)}: found {row.path!r}, which line {before.line} has already; "
                "expected each picture once: leave one of the lines out"
            )


def _by_split(path: Path, rows: Sequence[_Row]) -> dict[Split, list[_Row]]:
    """The test split is ``test``, or else a validation split; without the column all is train."""
    words = {row.split for row in rows}
    if words == {""}:
        return {"train": list(rows)}
    known = (TRAIN_NAME, TEST_NAME, *VAL_NAMES)
    for row in rows:
        if row.split not in known:
            raise SourceError(
                f"{_where(path, row)}: found the split {row.split!r}; expected one of "
                f"{', '.join(known)}, or no column {SPLIT_COLUMN!r}"
            )
    if TRAIN_NAME not in words:
        raise SourceError(f"{shown(path)}: found no line of the split {TRAIN_NAME}; expected some")
    of_word = {word: [row for row in rows if row.split == word] for word in known}
    test = next((word for word in known[1:] if word in words), None)
    splits: dict[Split, list[_Row]] = {"train": of_word[TRAIN_NAME]}
    return splits if test is None else {**splits, "test": of_word[test]}


def _where(path: Path, row: _Row) -> str:
    return f"{shown(path)}, line {row.line}"
