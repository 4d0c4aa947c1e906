"""A memory as one or several files: which files are meant, and one list of their classes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from drrpack.core.errors import MissingError, OptionError
from drrpack.core.wording import sides
from drrpack.formats import metadata
from drrpack.formats.class_names import unite
from drrpack.formats.container import Reader
from drrpack.formats.files.addresses import is_address
from drrpack.formats.files.shard_names import left_in, refuse_incomplete
from drrpack.formats.layout import AnyPath

Files: TypeAlias = AnyPath | Sequence[AnyPath]  # a file, a pattern such as "mem-*.drr", or several


def files_of(memories: Files, purpose: str = "") -> list[AnyPath]:
    """The files that a path, an address, a pattern or a list of them mean; each file once.

    A pattern such as ``mem-*.drr`` means the files whose names fit it, in alphabetical order. A
    path that exists is never taken as a pattern. ``purpose`` is for the error, such as " to merge".

    Raises:
        OptionError: the list is empty, or patterns find files of two sets of shards.
        MissingError: no file fits a pattern, or patterns find some shards of a memory and not all.
    """
    given = as_list(memories)
    fitting = {one: _matching(os.fspath(one)) for one in given if is_pattern(one)}
    found = [file for one in given for file in fitting.get(one, [_place(one)])]
    if not found:
        raise OptionError(f"found no files{purpose}, expected one at least", option="memories")
    paths = [file for file in found if isinstance(file, Path)]
    refuse_incomplete([file for files in fitting.values() for file in files], paths)
    return list(dict.fromkeys(found))


def as_list(memories: Files) -> list[AnyPath]:
    """What is given, one or several, as a list; patterns stay. Raises OptionError for anything
    else."""
    several = [memories] if isinstance(memories, str | os.PathLike) else memories
    if not isinstance(several, Iterable):
        raise OptionError(f"found {several!r}, expected a path, or several in a list")
    return list(several)


def is_pattern(place: AnyPath) -> bool:
    """Whether it stands for the files whose names fit it, as no file has this very name."""
    path = os.fspath(place)
    return not is_address(place) and glob.has_magic(path) and not os.path.lexists(path)


def _place(place: AnyPath) -> AnyPath:
    return place if is_address(place) else Path(place)


def _matching(path: str) -> list[Path]:
    found = [Path(name) for name in sorted(glob.glob(path))]
    if not found:
        hint = left_in(Path(path).parent)
        raise MissingError(f"{path}: there is no such file, and no file fits this pattern{hint}")
    return found


@dataclass(frozen=True)
class FileSet:
    """Open files whose images have one size, and the classes of all of them.

    Attributes:
        readers: of the files, at least one.
        classes: names of all classes: those of the first file, then those that later files add.
        numbers: for each file, where in ``classes`` each of its own classes is.
    """

    readers: list[Reader]
    classes: list[str]
    numbers: list[NDArray[np.int64]]

    @property
    def name(self) -> str:
        """What to call the files in a message."""
        first, *others = (str(reader.path) for reader in self.readers)
        return (
            f"{first} and {len(others)} more" if len(others) > 1 else " and ".join([first, *others])
        )

    def only(self, otherwise: str) -> Reader:
        """The only file; OptionError where there are several, which says what to take instead."""
        if len(self.readers) > 1:
            raise OptionError(
                f"{self.name}: found {len(self.readers)} files, expected one: take `{otherwise}` "
                "of the dataset, or write one file with `drrpack merge`"
            )
        return self.readers[0]

    def close(self) -> None:
        """Close all files; what reads them later is a ValueError."""
        for reader in self.readers:
            reader.close()

    def check_open(self) -> None:
        """Raise ValueError where they have been closed, whatever of them is still in memory."""
        if any(reader.closed for reader in self.readers):
            raise ValueError(f"{self.name}: the dataset is closed; open the file again")

    def class_order(self, names: Sequence[str]) -> list[int]:
        """Numbers of some of the classes in the order in which they are to be learned.

        Several files follow each other, each in its own order; a class counts where it is first. A
        file that is a part of a memory records the order of the whole memory.
        """
        if len(self.readers) == 1:
            return metadata.class_order(self.readers[0].metadata, names)
        if not any("class_order" in reader.metadata for reader in self.readers):
            return list(range(len(names)))
        ordered = list[str]()
        for reader, numbers in zip(self.readers, self.numbers, strict=True):
            here = {name: self.classes[n] for name, n in zip(reader.classes, numbers, strict=True)}
            recorded = metadata.ordered_names(reader.metadata, reader.classes)
            ordered += [here.get(name, name) for name in recorded]
        return metadata.class_order({"class_order": ordered}, names)


def open_files(memories: Files) -> FileSet:
    """Open the files that `files_of` finds.

    Raises:
        OptionError: their images differ in size, or it is not clear which classes are the same.
        FormatError: a file is missing, damaged or no .drr file.
    """
    with ExitStack() as opened:
        readers = [opened.enter_context(Reader(path)) for path in files_of(memories)]
        first = readers[0]
        for other in readers[1:]:
            if other.image_size != first.image_size:
                sizes = [sides(reader.image_size) for reader in (first, other)]
                raise OptionError(
                    f"found images of {sizes[0]} in {first.path} and of {sizes[1]} in "
                    f"{other.path}, expected one size: open files of different sizes as datasets "
                    "of their own"
                )
        classes, numbers = unite((str(reader.path), reader.classes) for reader in readers)
        opened.pop_all()  # they stay open
    return FileSet(readers, classes, [np.array(one, np.int64) for one in numbers])


def of_reader(reader: Reader) -> FileSet:
    """One file that is open already."""
    return FileSet([reader], reader.classes, [np.arange(len(reader.classes))])
