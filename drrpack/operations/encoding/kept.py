"""Where the codes and streams of parts are while a file is made: in memory, or in files beside it.

A file of a part carries a key, a digest of all that decides its content, so a part of another
source, codec or quality is never taken for one of this run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codec import ClassStreams
from drrpack.core.codes import LEVELS, Codes
from drrpack.core.errors import WriteError
from drrpack.formats.files.archives import DAMAGED
from drrpack.formats.files.places import make_folder
from drrpack.formats.files.publish import remove_leftovers, write_atomic
from drrpack.trainers.ranks import Ranks

Arrays = dict[str, NDArray[np.generic]]


class Kept(Protocol):
    """Arrays by the number of a part and by what they are.

    ``lasts`` says whether another process or a later run can find them; ``place`` is for messages.
    """

    lasts: bool

    @property
    def place(self) -> str: ...

    def put(self, what: str, number: int, key: str, arrays: Arrays) -> None: ...

    def get(self, what: str, number: int, key: str) -> Arrays | None:
        """What was put under this key; None where there is nothing sound."""


class InMemory:
    """For so few images that a restart would save nothing."""

    lasts = False
    place = "memory"

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], tuple[str, Arrays]] = {}

    def put(self, what: str, number: int, key: str, arrays: Arrays) -> None:
        self._found[what, number] = key, arrays

    def get(self, what: str, number: int, key: str) -> Arrays | None:
        found = self._found.get((what, number))
        return None if found is None or found[0] != key else found[1]


class InFolder:
    """Files ``WHAT-NUMBER.npz`` in a folder; their checksums tell what is sound."""

    lasts = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> str:
        return str(self.folder)

    def put(self, what: str, number: int, key: str, arrays: Arrays) -> None:
        path = self._path(what, number)
        every = {"key": np.array(key), "names": np.array(sorted(arrays)), **arrays}
        write_atomic(path, lambda file: np.savez(file, allow_pickle=False, **every))

    def get(self, what: str, number: int, key: str) -> Arrays | None:
        path = self._path(what, number)
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as found:
                if str(found["key"]) != key:
                    return None
                return {str(name): found[str(name)] for name in found["names"]}
        except (*DAMAGED, KeyError):  # or missing
            return None  # it is made again

    def _path(self, what: str, number: int) -> Path:
        return self.folder / f"{what}-{number:06}.npz"


@contextmanager
def kept_beside(folder: Path, parts: int, ranks: Ranks) -> Iterator[Kept]:
    """Where ``parts`` parts are kept; after success nothing of it stays.

    After an error the folder stays, so that the next run goes on from it.

    Raises:
        OutputError: the folder can't be made.
    """
    if parts == 1 and ranks.size == 1:
        yield InMemory()
        shutil.rmtree(folder, ignore_errors=True)  # of a larger source that was given up
        return
    ranks.from_first(lambda: remove_leftovers(make_folder(folder)))
    try:
        yield InFolder(folder)
        ranks.of_all(None)
        if ranks.first:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        with suppress(OSError):  # it holds something to go on from
            folder.rmdir()


def found(kept: Kept, what: str, number: int, key: str) -> Arrays:
    """What must be there, because a process of this run has put it there.

    Raises:
        WriteError: it is not: somebody took it away, or processes do not see the same folder.
    """
    arrays = kept.get(what, number, key)
    if arrays is None:
        raise WriteError(
            f"{kept.place}: part {number} is missing or damaged, and was written a moment ago; "
            "leave the folder alone, let all processes see it, and start again"
        )
    return arrays


def codes_to_arrays(pieces: Sequence[Codes]) -> Arrays:
    """The codes of the pieces of a part."""
    every = Codes.concat(pieces)
    return {"images": np.array([len(p) for p in pieces]), "top": every.top, "bottom": every.bottom}


def codes_of(arrays: Arrays) -> list[Codes]:
    """The inverse of `codes_to_arrays`."""
    ends = np.cumsum(arrays["images"].astype(int))[:-1]
    tops, bottoms = (np.split(arrays[level].astype(np.uint16), ends) for level in LEVELS)
    return [Codes(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)]


def streams_to_arrays(pieces: Sequence[ClassStreams]) -> Arrays:
    """The streams of the pieces of a part."""
    return {
        "images": np.array([piece.images for piece in pieces]),
        "digests": np.array([piece.codes_digest for piece in pieces], np.uint64),
        **{f"top{n}": piece.top for n, piece in enumerate(pieces)},
        **{f"bottom{n}": piece.bottom for n, piece in enumerate(pieces)},
    }


def streams_of(arrays: Arrays) -> list[ClassStreams]:
    """The inverse of `streams_to_arrays`."""
    counts, digests = arrays["images"].astype(int), arrays["digests"].astype(np.uint64)
    made = []
    for n, (images, digest) in enumerate(zip(counts, digests, strict=True)):
        top, bottom = (arrays[f"{level}{n}"].astype(np.uint32) for level in LEVELS)
        made.append(ClassStreams(int(images), top, bottom, int(digest)))
    return made
