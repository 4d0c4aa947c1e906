"""The splits of a picture source and their digest, which all kinds of sources share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.errors import SourceError
from drrpack.formats.class_names import look

Split: TypeAlias = Literal["train", "test"]

Rows: TypeAlias = slice | NDArray[np.int64]  # of the pictures of a class, in rising order

ALL = slice(None)
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class BadImage:
    """A file that can't be read as a picture, and why."""

    path: Path
    reason: str


class SplitData(Protocol):
    """The pictures of one split, class by class."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Pictures of each class."""

    def load(self, class_index: int, rows: Rows = ALL) -> Pixels:
        """The pictures of one class, or some of them: (n, H, W, 3) uint8, the caller's own."""

    def paths(self, class_index: int) -> list[Path]:
        """The files of one class, in the order of ``load``."""

    def records(self) -> Iterable[tuple[bytes, bytes]]:
        """A relative path and the sha256 of the content, for each file of the split."""


@dataclass(frozen=True)
class Opened:
    """What opening a source yields, whatever its kind."""

    classes: tuple[str, ...]
    image_size: tuple[int, int]  # (height, width)
    counts: tuple[int, ...]  # training pictures of each class
    splits: Mapping[Split, SplitData]
    bad: tuple[BadImage, ...] = ()
    remarks: tuple[str, ...] = ()  # what a user should hear, and is no error
    labels: tuple[int, ...] | None = None  # that the classes have in a dataset of a program
    root: Path | None = None  # the folder, where it is one
    name: str = ""  # what a file calls the source: the folder's name, or that of the kind


def content_digest(classes: Sequence[str], records: Iterable[tuple[bytes, bytes]]) -> str:
    """The sha256, in hex, of class names and files; ``Source.digest`` documents the layout."""
    sha = hashlib.sha256(b"drrpack-source-1\0")
    sha.update(len(classes).to_bytes(8, "little"))
    for name in classes:
        sha.update(counted(name.encode()))
    for path, file_sha256 in records:
        sha.update(counted(path) + file_sha256)
    return sha.hexdigest()


def counted(field: bytes) -> bytes:
    """A field with its length before it, so that no two lists of fields give the same bytes."""
    return len(field).to_bytes(8, "little") + field


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text that any terminal takes: bytes that are not UTF-8 become ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def refuse_twins(
    names: Sequence[str],
    where: str,
    fix: str = "rename one, or move the pictures of both into one folder",
) -> None:
    """Raise SourceError, with the ``fix``, where two class names are one or look alike:
    `class_names.look`."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.get(look(name))
        if twin is not None:
            differ = "which differ only by case, outer space or Unicode form"
            found = repr(name) if twin == name else f"{twin!r} and {name!r}, {differ}"
            raise SourceError(
                f"{where}: found two classes of one name, {found}; expected distinct names: {fix}"
            )
        seen[look(name)] = name
