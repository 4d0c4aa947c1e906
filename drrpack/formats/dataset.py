"""`DRRDataset`: one or several ``.drr`` files as a map-style PyTorch dataset, decoded on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from drrpack.core.arrays import Pixels
from drrpack.core.codec import Codec
from drrpack.core.device import choose_device
from drrpack.core.wording import sides
from drrpack.formats.container import Reader
from drrpack.formats.file_set import Files, FileSet, open_files
from drrpack.formats.indices import Indices, class_numbers, item_numbers, one_number
from drrpack.formats.pixel_cache import PixelCache
from drrpack.formats.process_lock import ProcessLock
from drrpack.formats.raw_pairs import raw_pairs
from drrpack.formats.stored_images import CODES_BYTES, StoredImages
from drrpack.formats.targets import ClassNumbers, Targets, checked_names, refused_numbers

CACHE_BYTES = 256 * 2**20  # 87,000 images of 32x32

# an image and its label, or a pair of images and it: whatever the transforms make of them
Item: TypeAlias = tuple[Any, ...]


class DRRDataset(Dataset[Item]):
    """The reconstructed images of a ``.drr`` file, or of several.

    Items are ``(image, label)``; the image is a uint8 tensor (3, H, W), to which ``transform`` is
    applied. Pixels are the same bytes for every batch, worker and machine. The codes of a chunk (as
    a rule all images of a class) are decoded when one of them is first used. Codes stay in memory
    up to ``codes_bytes`` (an image of 32x32 takes 160 bytes), pixels up to ``cache_bytes``. Threads
    may share a dataset; they decode one after the other.

    Which order of reading suits: while all codes fit into ``codes_bytes``, any does, such as
    ``DataLoader(shuffle=True)`` and ``DistributedSampler``. Beyond it images at random are still
    right, but each batch decodes many chunks anew; `drrpack.ChunkSampler` reads each once an epoch.

    Several files are read as one. Their classes are united by name (`drrpack.formats.class_names`);
    items go class by class, and in a class file by file. Each file keeps its own codec; images must
    have one size.

    With ``raw="pairs"`` the items are the raw exemplars that the file keeps: ``(raw,
    reconstruction, label)``, both images uint8 (3, H, W) and transformed.

    A program may change ``targets`` and ``classes``: items, arrays and copies in workers follow
    the change. Reading the file does not depend on them.

    Args:
        path: the path or the address of the file; a pattern such as ``"mem-*.drr"``; a list of
            these; or files that are open.
        classes: names or numbers of the classes to read, all by default. Labels follow this order,
            and only the streams of these classes are read.
        transform, target_transform: applied to an image (3, H, W) uint8 and to a label.
        cache_bytes: how much memory decoded pixels may take; 0 decodes every time.
        codes_bytes: how much memory decoded codes may take; None for no bound. A chunk that takes
            more is kept alone.
        device: where the codec runs: cpu, cuda or auto. Use the CPU if a `DataLoader` has workers.
        raw: "pairs" for the raw exemplars with their reconstructions, None for all images.

    Attributes:
        classes: names, in the order of the labels.
        class_to_idx: the label of each name in ``classes``; read only.
        class_order: all labels, in the order in which they are to be learned; read only.
        targets: the label of every item.
        image_size: (H, W).
        readers: the files, open until `close`. reader, codec: of the only one. files: all of them.
        stored: the images behind the items, and their codes in memory.
        chunk_starts: the first item of each chunk, and the number of items.
        chunks_at_once: how many chunks may be in memory.

    Raises:
        FormatError: the file is missing, damaged or not a .drr file (`drrpack.core.errors`).
        OptionError: the file lacks one of the classes, or keeps no raw images for pairs; several
            files have images of different sizes; there is no such device or number of bytes.
    """

    def __init__(
        self,
        path: Files | FileSet,
        *,
        classes: Sequence[str | int] | None = None,
        transform: Callable[[Tensor], object] | None = None,
        target_transform: Callable[[int], object] | None = None,
        cache_bytes: int = CACHE_BYTES,
        codes_bytes: int | None = CODES_BYTES,
        device: str | torch.device = "cpu",
        raw: Literal["pairs"] | None = None,
    ) -> None:
        self.device = choose_device(device)
        self.files = files = path if isinstance(path, FileSet) else open_files(path)
        self.transform, self.target_transform = transform, target_transform
        chosen = class_numbers(files.name, files.classes, classes)
        self._names = [files.classes[number] for number in chosen]  # of the files, whatever is set
        self._classes = [*self._names]
        self.stored = StoredImages(files, chosen, self.device, codes_bytes)
        self.image_size = self.stored.image_size
        labels = np.repeat(self.stored.chunks["label"], self.stored.chunks["images"])
        # the image of each item, numbered as they are stored: all, or those that are kept raw
        self._images, self._raw = np.arange(len(labels)), None
        if raw is not None:
            self._images, self._raw = raw_pairs(self.stored, raw)
        self._targets = Targets(files.name, labels[self._images].astype(np.int64))
        self._cache = PixelCache(len(labels), self.image_size, cache_bytes)
        # held while anything is decoded and kept: codes and pixels are kept for all threads
        self._lock = ProcessLock()

    @property
    def targets(self) -> list[int]:
        """The label of every item. Items follow what is assigned here, or to a place in the list.

        Assigning raises OptionError unless there is one whole number for each item.
        """
        return self._targets.values

    @targets.setter
    def targets(self, labels: Sequence[int] | NDArray[np.integer] | Tensor) -> None:
        self._targets.replace(labels)

    @property
    def classes(self) -> list[str]:
        """The names of the labels, from 0; those of the file, or those that are assigned."""
        return self._classes

    @classes.setter
    def classes(self, names: Sequence[str]) -> None:
        self._classes = checked_names(self.files.name, names)

    @property
    def class_order(self) -> list[int]:
        """All labels in the order in which `encode` was told that they will be learned.

        Without such an order they count up from 0. Several files follow each other.
        """
        return self.files.class_order(self._names)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each name in ``classes``; to change it raises OptionError."""
        return ClassNumbers(self.files.name, self._classes)

    @class_to_idx.setter
    def class_to_idx(self, given: Mapping[str, int]) -> None:
        if given != self.class_to_idx:
            raise refused_numbers(self.files.name)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: SupportsIndex) -> Item:
        try:
            number = one_number(index)
        except TypeError as error:
            raise TypeError(f"{self.files.name}: {error}") from error
        return self.__getitems__([number])[0]

    def __getitems__(self, indices: Indices) -> list[Item]:
        """Several items by one call of the network; `DataLoader` finds this by itself."""
        items = self._items(indices)
        parts = [self._transformed(self._pixels(self._images[items])), self._labels(items)]
        if self._raw is not None:
            parts.insert(0, self._transformed(self._raw[items]))
        return list(zip(*parts, strict=True))

    def _items(self, indices: Indices) -> NDArray[np.int64]:
        """The numbers of the items that a caller's indices mean, (n,): what is checked once."""
        self.files.check_open()
        try:
            return item_numbers(indices, len(self))
        except (IndexError, TypeError) as error:
            raise type(error)(f"{self.files.name} has {len(self)} images; {error}") from error

    def _transformed(self, pixels: Pixels) -> list[object]:
        # each a copy of its own: a view of the batch would keep and pickle all of it
        images = [torch.from_numpy(image.copy()) for image in pixels.transpose(0, 3, 1, 2)]
        return [*images] if self.transform is None else [*map(self.transform, images)]

    def _labels(self, items: NDArray[np.int64]) -> list[object]:
        labels, change = self._targets.at(items), self.target_transform
        return [*labels] if change is None else [*map(change, labels)]

    def pixels(self, indices: Indices) -> Pixels:
        """Decoded images uint8 (n, H, W, 3), without the transform.

        ``indices`` are whole numbers, or a mask of as many booleans as there are items.

        Raises:
            IndexError, TypeError: they are outside, or neither of the two.
        """
        return self._pixels(self._images[self._items(indices)])

    def codes(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """The codes: top (n, H/T, W/T) and bottom (n, 2H/T, 2W/T), int64; ``indices`` as above.

        H and W are rounded up to a multiple of T, 8 unless the file's codec has another stride.

        Raises:
            OptionError: the images come from several files whose codecs have different strides.
        """
        with self._lock:
            codes = self.stored.codes(self._images[self._items(indices)])
        top, bottom = (torch.from_numpy(grid.astype(np.int64)) for grid in codes.grids)
        return top, bottom

    def to_numpy(self) -> tuple[Pixels, NDArray[np.int64]]:
        """All images uint8 (N, H, W, 3) and labels (N,) int64: for Avalanche, PyCIL and others."""
        with self._lock:
            pixels = self.stored.pixels(self._images)
        return pixels, self._targets.array()

    def preload(self) -> DRRDataset:
        """Decode all codes now, so that forked or spawned workers need not; returns itself.

        Raises:
            OptionError: they take more than ``codes_bytes``.
        """
        with self._lock:
            self.stored.keep_all()
        return self

    def in_order(self, images: int) -> Iterator[range]:
        """All items in blocks of up to ``images``, for reading each chunk of a large memory once.

        The chunks of the next blocks have been decoded side by side when a block comes, as many as
        ``codes_bytes`` has room for.
        """
        starts, done = self.chunk_starts, 0
        for group in self.stored.groups(range(len(self.stored.chunks))):
            with self._lock:
                self.stored.keep(group)
            while done < (end := int(starts[group[-1] + 1])):
                yield range(done, min(end, done + images))
                done = min(end, done + images)

    @property
    def chunk_starts(self) -> NDArray[np.int64]:
        """The first item of each stored chunk, and the number of all items, (chunks + 1,)."""
        return np.searchsorted(self._images, self.stored.starts).astype(np.int64)

    @property
    def chunks_at_once(self) -> int:
        """How many chunks ``codes_bytes`` has room for, by the largest one."""
        with self._lock:
            return self.stored.chunks_at_once

    @property
    def readers(self) -> list[Reader]:
        """The open files."""
        return self.files.readers

    @property
    def reader(self) -> Reader:
        """The open file; OptionError if there are several."""
        return self.files.only("readers")

    @property
    def codec(self) -> Codec:
        """The codec of the file, loaded when first needed; OptionError if there are several."""
        with self._lock:
            self.files.only("stored.codec(number)")
            return self.stored.codec(0)

    def close(self) -> None:
        """Close the files; later reads are a ValueError. Copies in workers go on."""
        self.files.close()

    def __enter__(self) -> DRRDataset:
        self.files.check_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _pixels(self, images: NDArray[np.int64]) -> Pixels:
        with self._lock:
            missing = self._cache.missing(images)
            if len(missing) == 0:
                return self._cache.get(images)
            decoded = self.stored.pixels(missing)
            self._cache.put(missing, decoded)
            return self._cache.merge(images, missing, decoded)

    def __getstate__(self) -> dict[str, object]:
        """Decoded codes travel to spawned workers; networks and pixels are made anew there."""
        with self._lock:
            stored = copy(self.stored)
        return {**self.__dict__, "stored": stored, "_cache": self._cache.emptied()}

    def __repr__(self) -> str:
        what = "images" if self._raw is None else "pairs"
        size, classes = sides(self.image_size), len(self.classes)
        return f"DRRDataset({self.files.name!r}: {len(self)} {what} of {size}, {classes} classes)"
