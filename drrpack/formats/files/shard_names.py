"""The files that one memory is divided into, by their names: ``mem-00000-of-00003.drr``.

Hugging Face's datasets and WebDataset number the files of a data set in the same way. The count in
each name is what tells a reader that a file is missing.
"""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from drrpack.core.errors import MissingError, OptionError
from drrpack.core.wording import SHOWN, few
from drrpack.formats.files.beside import exchanges_in

_NAME = re.compile(r"(.+)-(\d{5,9})-of-(\d{5,9})(\.[^.]*)?", re.DOTALL)


@dataclass(frozen=True)
class ShardSet:
    """The files of one memory: where they lie, what their names begin and end with, how many."""

    folder: Path
    stem: str
    ending: str
    count: int

    def path(self, number: int) -> Path:
        """The path of the file ``number``, from 0."""
        return self.folder / f"{self.stem}-{number:05}-of-{self.count:05}{self.ending}"

    @property
    def paths(self) -> list[Path]:
        """All files, in their order, which is the alphabetical one."""
        return [self.path(number) for number in range(self.count)]

    @property
    def pattern(self) -> str:
        """What `glob.glob` finds the files by."""
        start, ending = glob.escape(str(self.folder / self.stem)), glob.escape(self.ending)
        return f"{start}-*-of-{self.count:05}{ending}"


def shard_set(output: Path, count: int) -> ShardSet:
    """The ``count`` files that a memory called ``output`` is divided into."""
    return ShardSet(output.parent, output.stem, output.suffix, count)


def set_of(path: Path) -> ShardSet | None:
    """The files that a file is one of, by its name; None where the name has no such numbers."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    return ShardSet(path.parent, found[1], found[4] or "", int(found[3]))


def sets_among(paths: Iterable[Path]) -> dict[ShardSet, set[int]]:
    """The sets that some files belong to by their names, and the numbers of those files.

    A set may lack files, or claim a thousand million of them: work with the numbers that are there.
    """
    found = defaultdict[ShardSet, set[int]](set)
    for path in paths:
        of, name = set_of(path), _NAME.fullmatch(path.name)
        if of is not None and name is not None:
            numbers, number = found[of], int(name[2])
            if number < of.count and of.path(number) == path:
                numbers.add(number)
    return dict(found)


def shards_of(output: Path) -> list[Path]:
    """The files in the folder of ``output`` that are shards of a memory of that name, sorted.

    They may be of several sets, and incomplete.
    """
    return shards_in(output.parent, output.stem, output.suffix)


def shards_in(folder: Path, stem: str, ending: str) -> list[Path]:
    """The same of a memory of which the names begin and end in this way."""
    try:
        entries = sorted(folder / name for name in os.listdir(folder))
    except OSError:
        return []
    known = ((path, set_of(path)) for path in entries)
    return [p for p, of in known if of is not None and (of.stem, of.ending) == (stem, ending)]


def refuse_incomplete(fitting: Sequence[Path], given: Sequence[Path]) -> None:
    """Refuse files that a pattern found if, by their names, not all files of a memory are there.

    Args:
        fitting: what patterns found.
        given: all files that are read together, those among them.

    Raises:
        MissingError: files of a memory are missing; it names them. OptionError: the files are of
            two sets, such as one of two files and one of three, which hold the same images.
    """
    there = sets_among(given)
    counts: defaultdict[tuple[Path, str, str], list[ShardSet]] = defaultdict(list)
    for of in sets_among(fitting):
        counts[of.folder, of.stem, of.ending].append(of)
        if len(there[of]) < of.count and len(counts[of.folder, of.stem, of.ending]) == 1:
            _refuse_missing(of, there[of])
    for several in counts.values():
        if len(several) > 1:
            raise OptionError(
                f"found files of several sets, {' and '.join(of.pattern for of in several)}, "
                "expected those of one: remove the older set, or give the pattern of one"
            )


def left_in(folder: Path) -> str:
    """What a message adds where files may be missing because a process was killed."""
    found = exchanges_in(folder)
    if not found:
        return ""
    return (
        f"; {found[0]} holds files that a run was exchanging: unless it still works, the next "
        "command that writes a file beside it brings them to their place"
    )


def _refuse_missing(of: ShardSet, there: set[int]) -> None:
    missing = (number for number in range(of.count) if number not in there)
    names = few([of.path(number).name for number in islice(missing, SHOWN + 1)])
    raise MissingError(
        f"{of.pattern}: found {len(there)} of {of.count} files, expected all; "
        f"missing: {names}: fetch or encode them again, or name the others one by one to read "
        f"them alone{left_in(of.folder)}"
    )
