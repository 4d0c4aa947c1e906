"""The interface of all kinds of picture sources: how a source is recognised, opened and listed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.splits import SPLITS, Opened, Split

KEEP_BUDGET_BYTES = 32 << 20  # 10,000 images of 32x32; what is larger is decoded again


class LabelledDataset(Protocol):
    """A map-style dataset, such as one of torchvision: ``dataset[i]`` is ``(image, label)``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


T = TypeVar("T")

Given: TypeAlias = str | os.PathLike[str] | LabelledDataset
Files: TypeAlias = Iterator[tuple[Split, list[tuple[bytes, Path]]]]


def path_of(given: Given) -> Path | None:
    """What is given as a path; None for a dataset."""
    return Path(given) if isinstance(given, str | os.PathLike) else None


class Sharing(Protocol):
    """The processes that open a source together: this one is ``rank`` of ``size``."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def of_all(self, mine: T) -> list[T]:
        """What each process has, in their order."""


class Alone:
    """One process, which shares nothing."""

    rank, size = 0, 1

    def of_all(self, mine: T) -> list[T]:
        return [mine]


@dataclass(frozen=True)
class Opening:
    """How a source is to be opened, whatever its kind."""

    reading: Reading = field(default_factory=Reading)
    skip_bad: bool = False  # leave out what can't be read as a picture
    splits: Sequence[Split] = SPLITS
    keep_bytes: int = KEEP_BUDGET_BYTES  # of pixels that may stay in memory
    class_names: Sequence[str] | None = None  # names for the labels of a dataset
    test: LabelledDataset | None = field(default=None, repr=False)  # the test split of a dataset
    labelling: Labelling = field(default_factory=Labelling)
    sharing: Sharing = field(default_factory=Alone)  # each process checks some of the pictures


class PictureSource(Protocol):
    """One kind of labelled pictures. `drrpack.formats.sources.registry` lists all kinds."""

    name: str
    everywhere: str | None  # what opens the same pictures on every machine, if anything does
    takes: tuple[str, ...]  # the fields of `Labelling` that mean something for this kind

    def recognises(self, given: Given) -> bool:
        """Whether ``given`` is of this kind; a cheap look, which reads no pictures."""

    def open(self, given: Given, how: Opening) -> Opened:
        """Read and check the pictures.

        Raises:
            SourceError: names what is wrong, and the fix.
        """

    def files(self, root: Path, labelling: Labelling) -> Files:
        """For each split below ``root`` the relative paths and places of its files, in the order of
        `Source.digest`; nothing where the kind has no files."""
