"""Parquet files as the Hugging Face hub keeps image data sets, as a source."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, count, groupby
from pathlib import Path

from drrpack.core.errors import SourceError
from drrpack.formats.sources.brightness import NotReadable
from drrpack.formats.sources.checked import open_listing
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.labels import number_labels
from drrpack.formats.sources.listed import ClassPictures, PictureAt, by_class
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.parquet_table import Table
from drrpack.formats.sources.pictures import Pictures, read_contents
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.shards import (
    DIVIDED,
    checked_files,
    is_sharded,
    listed_shards,
    split_shards,
)
from drrpack.formats.sources.splits import Opened, Split, shown

ENDINGS = (".parquet",)


class Parquet:
    """A Parquet file, a pattern of such files, or a folder of them."""

    name: str = "parquet"
    everywhere: str | None = None
    takes: tuple[str, ...] = ("image_column", "label_column")

    def recognises(self, given: Given) -> bool:
        return is_sharded(path_of(given), ENDINGS)

    def open(self, given: Given, how: Opening) -> Opened:
        path = path_of(given)
        assert path is not None
        root = Path(os.path.abspath(path))
        shards = split_shards(root, ENDINGS)
        opened = open_tables(shards, how, shown(root), DIVIDED.format("parquet"))
        return replace(opened, root=root, name=shown(root.name))

    def files(self, root: Path, labelling: Labelling) -> Files:
        yield from listed_shards(root, ENDINGS)


def open_tables(
    shards: Mapping[Split, Sequence[Path]], how: Opening, called: str, divided: str
) -> Opened:
    """Open the Parquet files of each split; ``called`` and ``divided`` as for `open_listing`."""
    listing, storage = _list(shards, how.labelling, called)
    return open_listing(listing, storage, how, called, divided)


@dataclass(frozen=True)
class TableRows:
    """Pictures in the rows of tables, counted through all tables."""

    tables: tuple[Table, ...]
    ends: tuple[int, ...]  # of each table, the number of rows in it and those before it
    files: str | None = "pictures in a table"

    def of(self, place: int) -> int:
        """The number of the table that holds a row."""
        return bisect_right(self.ends, place)

    def read(self, pictures: Sequence[PictureAt], reading: Reading) -> Pictures:
        return read_contents(self._jobs(pictures), reading)

    def _jobs(self, pictures: Sequence[PictureAt]) -> Iterator[tuple[Path, Callable[[], bytes]]]:
        for number, found in groupby(pictures, key=lambda one: self.of(one.place)):
            table, stored = self.tables[number], list(found)
            start = self.ends[number] - sum(table.group_rows)
            contents = table.pictures([one.place - start for one in stored])
            for one, content in zip(stored, contents, strict=True):
                yield one.path, partial(_given, content)


def _given(content: bytes | NotReadable) -> bytes:
    if isinstance(content, NotReadable):
        raise content
    return content


def _list(
    shards: Mapping[Split, Sequence[Path]], labelling: Labelling, called: str
) -> tuple[dict[Split, list[ClassPictures]], TableRows]:
    """The classes of each split, and where their pictures are, in the order of the rows."""
    tables = {split: _tables(files, labelling) for split, files in shards.items()}
    every = [table for of_split in tables.values() for table in of_split]
    _check_alike(every)
    rows = {split: [(t, r) for t in found for r in range(sum(t.group_rows))]
            for split, found in tables.items()}  # fmt: skip
    labels = {split: [one for t in found for one in t.labels()] for split, found in tables.items()}
    classes, numbers = number_labels(
        labels, every[0].columns.names, called,
        lambda split, i: shown(rows[split][i][0].row(rows[split][i][1])),
    )  # fmt: skip
    listing, places = dict[Split, list[ClassPictures]](), count()
    for split, found in rows.items():
        shard_of = {shard: number for number, shard in enumerate(shards[split])}
        of = numbers[split].tolist()
        stored = [
            PictureAt(
                str(table.row(row)), f"{classes[number]}/{shard_of[table.path]}/{row}".encode(),
                next(places),
            )
            for (table, row), number in zip(found, of, strict=True)
        ]  # fmt: skip
        listing[split] = by_class(stored, of, classes, shards[split][0].parent)
    ends = tuple(accumulate(sum(table.group_rows) for table in every))
    return listing, TableRows(tuple(every), ends)


def _tables(files: Sequence[Path], labelling: Labelling) -> list[Table]:
    checked_files(files)
    return [Table(file, labelling) for file in files]


def _check_alike(tables: Sequence[Table]) -> None:
    """Raise SourceError where the files of one data set have other columns or names of classes."""
    for table in tables[1:]:
        if table.columns != tables[0].columns:
            raise SourceError(
                f"{shown(table.path)}: found other columns, or other names of classes, than in "
                f"{shown(tables[0].path)}; expected files of one data set: move the others away"
            )
