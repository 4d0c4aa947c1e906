"""What there is to see in a ``.drr`` file: classes, images, their codes and what they cost.

Nothing here knows pages or HTTP.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.codes import LEVELS, Codes, LevelName
from drrpack.core.errors import MissingError
from drrpack.formats.account import account, stored_top_shape
from drrpack.formats.container import Reader
from drrpack.formats.files.addresses import is_address
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.opening import Given
from drrpack.operations.progress import Report
from drrpack.operations.viewing import neighbours
from drrpack.operations.viewing.code_store import CodeStore
from drrpack.operations.viewing.cost import Cost, cost_of
from drrpack.operations.viewing.drawing import coloured
from drrpack.operations.viewing.neighbours import Neighbours
from drrpack.operations.viewing.originals import Original, OriginalImages
from drrpack.operations.viewing.recent import Recent

IMAGES_ON_PAGE = 48  # of a class
BLOCK_BYTES = 32 * 2**20  # of pixels that are decoded together
KEPT_BYTES = 128 * 2**20  # of reconstructions in memory

Key = Literal["number", "name", "images", "bytes", "raw"]


@dataclass(frozen=True)
class ClassRow:
    """A class: its number in the file, and the bytes of its streams and of its raw exemplars."""

    number: int
    name: str
    images: int
    top_bytes: int
    bottom_bytes: int
    raw: int  # exemplars
    raw_bytes: int

    @property
    def bytes(self) -> int:
        return self.top_bytes + self.bottom_bytes


@dataclass(frozen=True)
class Place:
    """Where an image stands: its number in the file and its class, its position there, and its
    position in a chunk of ``chunk_images`` images, which are coded one after the other."""

    image: int
    number: int
    position: int
    chunk_position: int
    chunk_images: int

    @property
    def page(self) -> int:
        """The page of its class that it is on, from 1."""
        return self.position // IMAGES_ON_PAGE + 1


class Catalogue:
    """An open file. Images are numbered as the items of `drrpack.DRRDataset` are.

    Opening reads the index alone. Classes are decoded when they are first looked at, images in
    blocks of a page at most. Threads may share a catalogue.

    Raises:
        FormatError: as `drrpack.formats.container.Reader`.
    """

    def __init__(self, memory: AnyPath, source: Given | None, report: Report) -> None:
        self.reader = Reader(memory)
        self._place = None if is_address(memory) else Path(memory).absolute()
        self.stats = account(self.reader)
        self.rows = _rows(self.reader)
        self.images_per_class = self.reader.images_per_class
        self.starts = np.concatenate([[0], np.cumsum(self.images_per_class)])
        self.store = CodeStore(self.reader)
        self.originals = OriginalImages(self.reader, source, report)
        height, width = self.reader.image_size
        self._block = int(np.clip(BLOCK_BYTES // (height * width * 3), 1, IMAGES_ON_PAGE))
        self._blocks = Recent(self._decode_block, KEPT_BYTES)

    @property
    def images(self) -> int:
        """How many there are, in all classes."""
        return int(self.starts[-1])

    @cached_property
    def top_shape(self) -> tuple[int, int]:
        """The rows and columns of an image's top codes; the bottom has twice as many of each."""
        return stored_top_shape(self.reader)

    def changed(self) -> bool:
        """Whether another file lies in this one's place by now; never so for an address.

        Raises:
            MissingError: nothing lies there.
        """
        if self._place is None:
            return False
        try:
            info = os.stat(self._place)
        except OSError as error:
            raise MissingError(
                f"{self.reader.path}: can't be found any more: {error.strerror}; put it back, "
                "and load this page again"
            ) from error
        found = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
        return found != self.reader.structure.identity

    def listed(self, wanted: str = "", key: Key = "number", down: bool = False) -> list[ClassRow]:
        """Classes whose names contain ``wanted``, in either case, in the order of ``key``; those
        that are equal stay in the order of the file."""
        text = wanted.casefold()
        rows = [row for row in self.rows if text in row.name.casefold()]
        if key == "name":
            return sorted(rows, key=lambda row: (row.name.casefold(), row.name), reverse=down)
        return sorted(rows, key=lambda row: -getattr(row, key) if down else getattr(row, key))

    def place(self, image: int) -> Place:
        """Where an image stands; raises IndexError where there is none of that number."""
        if not 0 <= image < self.images:
            raise IndexError(f"{self.reader.path} has {self.images:,} images, none is {image}")
        number = int(np.searchsorted(self.starts, image, side="right")) - 1
        position = inside = image - int(self.starts[number])
        for count in self.reader.index["images"][self.reader.index["class"] == number]:
            if inside < count:
                break
            inside -= int(count)
        return Place(image, number, position, inside, int(count))

    def reconstruction(self, place: Place) -> Pixels:
        """The decoded image, (H, W, 3) uint8."""
        block, row = divmod(place.position, self._block)
        pixels: Pixels = self._blocks(int(self.starts[place.number]) + block)[row]
        return pixels

    def original(self, place: Place) -> Original | None:
        """The image before coding, where it is at hand."""
        return self.originals.of(place.number, place.position)

    def codes(self, place: Place) -> Codes:
        """The codes of one image: grids (1, h, w)."""
        return self.store.of(place.number).take(slice(place.position, place.position + 1))

    def codes_picture(self, place: Place, level: LevelName) -> Pixels:
        """One grid of an image's codes in false colours, a pixel for each code."""
        codes = self.codes(place)[level][0]
        return coloured(codes, self.codebook(level))

    def codebook(self, level: LevelName) -> NDArray[np.float64]:
        """The vectors of a level's codes, (K, D)."""
        quantiser = getattr(self.store.codec.vqvae, level)
        return np.asarray(quantiser.codebook.cpu(), np.float64)

    def cost(self, place: Place) -> Cost | None:
        """What the codes of an image cost; None where the entropy model can't tell."""
        codes = self.codes(place)
        with self.store.using:
            return cost_of(self.store.codec, codes, place.chunk_position, place.chunk_images)

    def nearest(self, place: Place, *, whole: bool = False, count: int = 12) -> Neighbours:
        """The images whose codes are nearest by `neighbours.distances`, among those decoded so far.

        The rest of those that are wanted, the ``whole`` file or a sample of it, are decoded in the
        background: ask again until the answer is complete. No more are wanted than stay in memory.
        """
        per_class = self.images_per_class
        if whole:
            wanted = [int(number) for number in np.flatnonzero(per_class)]
        else:
            wanted = neighbours.sampled_classes(per_class, place.number)
        wanted = self.store.together(wanted, place.number)
        one = self.codes(place)
        self.store.fetch(wanted)
        here = [number for number in wanted if self.store.has(number)]
        groups = ((int(self.starts[number]), self.store.of(number)) for number in here)
        return Neighbours(
            tuple(neighbours.nearest(self.store.codec, one, place.image, groups, count)),
            int(per_class[here].sum()) - 1,
            int(per_class[wanted].sum()) - 1,
            len(here),
            len(wanted),
        )

    def close(self) -> None:
        """Stop work in the background. The file stays open for threads that still read it."""
        self.store.close()

    def _decode_block(self, key: int) -> Pixels:
        """Images of a class that stand beside each other; ``key`` is the class's start and the
        number of the block, which is unique as no class has more blocks than images."""
        number = int(np.searchsorted(self.starts, key, side="right")) - 1
        start = (key - int(self.starts[number])) * self._block
        return self.store.pixels(self.store.of(number).take(slice(start, start + self._block)))


def _rows(reader: Reader) -> list[ClassRow]:
    counts = reader.images_per_class
    sizes = {level: _sums(reader, reader.index, f"{level}_bytes") for level in LEVELS}
    raw, raw_bytes = (_sums(reader, reader.raw_index, field) for field in ("images", "bytes"))
    columns = (counts, sizes["top"], sizes["bottom"], raw, raw_bytes)
    each = zip(*(column.tolist() for column in columns), strict=True)
    return [
        ClassRow(number, name, *figures)
        for number, (name, figures) in enumerate(zip(reader.classes, each, strict=True))
    ]


def _sums(reader: Reader, index: NDArray[np.void], field: str) -> NDArray[np.int64]:
    """The sum of one column of an index for each class, (classes,)."""
    total = np.zeros(len(reader.classes), np.int64)
    np.add.at(total, index["class"], index[field].astype(np.int64))
    return total
