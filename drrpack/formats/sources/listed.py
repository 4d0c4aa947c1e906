"""Pictures that a source stores encoded: where each one is, and in which class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from drrpack.formats.sources.pictures import Pictures
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.splits import Split


@dataclass(frozen=True, slots=True)
class PictureAt:
    """One picture and where it is stored.

    Attributes:
        where: its file, or a file and the picture inside it; text, as a `Path` takes more memory.
        name: its path below the split, which goes into the digest of the source.
        place: its number in its storage. Pictures are read in this order; within a class it must
            be the order of `ClassPictures.pictures`.
    """

    where: str
    name: bytes
    place: int = 0

    @property
    def path(self) -> Path:
        return Path(self.where)


@dataclass(frozen=True)
class ClassPictures:
    """One class of one split: its name in NFC, its place for messages, and its pictures."""

    name: str
    where: Path
    pictures: tuple[PictureAt, ...]


Listing: TypeAlias = Mapping[Split, Sequence[ClassPictures]]


def by_class(
    stored: Iterable[PictureAt], numbers: Iterable[int], classes: Sequence[str], where: Path
) -> list[ClassPictures]:
    """Pictures of one split in the classes that have some; ``numbers`` are the class of each, and
    ``where`` is the folder of the files that they are stored in."""
    found: list[list[PictureAt]] = [[] for _ in classes]
    for one, number in zip(stored, numbers, strict=True):
        found[number].append(one)
    return [
        ClassPictures(name, where / name, tuple(pictures))
        for name, pictures in zip(classes, found, strict=True)
        if pictures
    ]


class Storage(Protocol):
    """Where the pictures of a source are stored."""

    @property
    def files(self) -> str | None:
        """None if each has a file of its own, else in words what the pictures are."""

    def read(self, pictures: Sequence[PictureAt], reading: Reading) -> Pictures:
        """Read and decode each of ``pictures``, which are in the order of their places.

        Close what comes back unless all of it was taken (`pictures.read_contents`).
        """
