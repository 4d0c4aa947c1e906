"""Read pictures and labels from Parquet files by pyarrow, a few rows at a time."""

from __future__ import annotations

import importlib
import json
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path
from types import ModuleType
from typing import Protocol

from drrpack.core.errors import SourceError
from drrpack.formats.sources import columns
from drrpack.formats.sources.brightness import NotReadable
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.labels import Label
from drrpack.formats.sources.splits import shown

PICTURES_AT_ONCE = 64
LABELS_AT_ONCE = 1 << 16
BUFFER_BYTES = 1 << 20  # of a column that is read; without it pyarrow reads a whole row group


@dataclass(frozen=True)
class Columns:
    """Where a table has its pictures and labels, and the names of the labels if it says them."""

    image: str
    in_struct: bool  # the pictures are in the field "bytes" of a struct
    label: str
    names: tuple[str, ...] | None


def pyarrow(where: Path) -> ModuleType:
    """`pyarrow.parquet`; raises SourceError where it is not installed."""
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise SourceError(
            f"{shown(where)}: found a Parquet file, and pyarrow, which reads it, is not installed; "
            'expected it: pip install "drrpack[parquet]"'
        ) from error


class _Column(Protocol):
    def to_pylist(self) -> list[Label]: ...

    def __getitem__(self, index: int, /) -> _Cell: ...


class _Cell(Protocol):
    def as_py(self) -> object: ...


class _Batch(Protocol):
    """What is used of `pyarrow.RecordBatch`, which has no types of its own."""

    num_rows: int
    num_columns: int

    def column(self, number: int) -> _Column: ...


class _Type(Protocol):
    num_fields: int
    value_type: _Type

    def field(self, number: int) -> _Field: ...


class _Field(Protocol):
    name: str
    type: _Type


class _Schema(Protocol):
    names: list[str]
    types: list[_Type]
    metadata: dict[bytes, bytes] | None


class _Group(Protocol):
    num_rows: int


class _Metadata(Protocol):
    num_row_groups: int

    def row_group(self, number: int) -> _Group: ...


class _File(Protocol):
    """What is used of `pyarrow.parquet.ParquetFile`."""

    schema_arrow: _Schema
    metadata: _Metadata

    def iter_batches(
        self, batch_size: int, *, row_groups: list[int] | None = None, columns: list[str],
        use_threads: bool,
    ) -> Iterator[_Batch]: ...  # fmt: skip


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises into a SourceError."""
    errors = importlib.import_module("pyarrow.lib").ArrowException
    try:
        yield
    except (errors, OSError, ValueError, MemoryError) as error:
        raise SourceError(
            f"{shown(path)}: can't be read as a Parquet file: {error}; expected one that is whole: "
            "fetch it again"
        ) from error


def _opened(path: Path) -> AbstractContextManager[_File]:
    file: AbstractContextManager[_File] = pyarrow(path).ParquetFile(path, buffer_size=BUFFER_BYTES)
    return file


class Table:
    """One Parquet file, which is opened for each pass over it."""

    def __init__(self, path: Path, labelling: Labelling) -> None:
        self.path = path
        with _told(path), _opened(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self.columns = _choose(schema, labelling, shown(path))
        self.group_rows: tuple[int, ...] = tuple(groups)

    def labels(self) -> list[Label]:
        """The label of each row; raises SourceError for a row without one."""
        found: list[Label] = []
        with _told(self.path), _opened(self.path) as file:
            for batch in file.iter_batches(
                LABELS_AT_ONCE, columns=[self.columns.label], use_threads=False
            ):
                found += batch.column(0).to_pylist()
        for row, label in enumerate(found):
            if label is None or label == "":
                raise SourceError(
                    f"{shown(self.row(row))}: found no label; expected a class for each picture"
                )
        return found

    def pictures(self, rows: Sequence[int]) -> Iterator[bytes | NotReadable]:
        """The stored bytes of some rows, in ascending order.

        Only row groups with these rows are read, a few rows at a time.
        """
        column = f"{self.columns.image}.bytes" if self.columns.in_struct else self.columns.image
        with _told(self.path), _opened(self.path) as file:
            for group, of_group in self._by_group(rows):
                batches = file.iter_batches(
                    PICTURES_AT_ONCE, row_groups=[group], columns=[column], use_threads=False
                )
                start, left = 0, deque(of_group)
                while left:
                    batch = self._next(batches)
                    while left and left[0] < start + batch.num_rows:
                        yield _content(batch.column(0)[left.popleft() - start].as_py())
                    start += batch.num_rows

    def _next(self, batches: Iterator[_Batch]) -> _Batch:
        """The next rows; raises SourceError where the file had more, or another column."""
        batch = next(batches, None)
        if batch is None or not batch.num_columns:
            raise SourceError(
                f"{shown(self.path)}: changed since the source was opened; expected the same rows: "
                "leave the source alone while it is read, and start again"
            )
        return batch

    def _by_group(self, rows: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
        """Each row group that holds some of the rows, and their numbers within it."""
        ends = list(accumulate(self.group_rows))
        for group, found in groupby(rows, key=lambda row: bisect_right(ends, row)):
            start = ends[group] - self.group_rows[group]
            yield group, [row - start for row in found]

    def row(self, number: int) -> Path:
        """A row's place for messages."""
        return Path(f"{self.path}, row {number}")


def _content(value: object) -> bytes | NotReadable:
    """A picture's bytes in a cell, which is binary or a struct with binary in it."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        return NotReadable("has no bytes in the table, which may hold its path alone")
    return content


def _choose(schema: _Schema, labelling: Labelling, where: str) -> Columns:
    """The columns of pictures and labels.

    Label columns with names of classes in Hugging Face's metadata go before others.
    """
    types = importlib.import_module("pyarrow.types")
    kinds = dict(zip(schema.names, schema.types, strict=True))
    images = {n: in_struct for n, t in kinds.items() if (in_struct := _holds(types, t)) is not None}
    image = columns.image_column(labelling.image_column, list(images), schema.names, where)
    could = [name for name, kind in kinds.items() if name != image and _labels(types, kind)]
    named = _class_names(schema)
    first = [name for name in could if name in named]
    offered = could if labelling.label_column is not None else first or could
    label = columns.label_column(labelling.label_column, offered, schema.names, where)
    return Columns(image, images[image], label, named.get(label))


def _holds(types: ModuleType, kind: _Type) -> bool | None:
    """Whether a column's pictures are in structs; None for a column that can't have pictures."""
    if types.is_binary(kind) or types.is_large_binary(kind):
        return False
    if types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        if any(f.name == "bytes" and _holds(types, f.type) is False for f in fields):
            return True
    return None


def _labels(types: ModuleType, kind: _Type) -> bool:
    """Whether a column has whole numbers or texts."""
    if types.is_dictionary(kind):
        return _labels(types, kind.value_type)
    found: bool = types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)
    return found


def _class_names(schema: _Schema) -> dict[str, tuple[str, ...]]:
    """Columns of the type ClassLabel in the metadata that `datasets` writes, and their names."""
    try:
        said: object = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return {}
    features = _part(_part(said, "info"), "features")
    named = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        names = _part(feature, "names")
        if _part(feature, "_type") == "ClassLabel" and isinstance(names, list) and names:
            named[column] = tuple(map(str, names))
    return named


def _part(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
