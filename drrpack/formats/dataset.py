"""`DRRDataset`: a ``.drr`` file as a map-style PyTorch dataset, which decodes classes on demand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from drrpack.core.codec import Codec, Pixels
from drrpack.core.codes import Codes
from drrpack.core.errors import OptionError
from drrpack.formats import metadata
from drrpack.formats.container import Reader
from drrpack.formats.indices import Indices, class_numbers, item_numbers, one_number
from drrpack.formats.memory import load_codec, read_codes
from drrpack.formats.pixel_cache import PixelCache
from drrpack.formats.process_lock import ProcessLock
from drrpack.formats.raw import read_raw
from drrpack.formats.targets import ClassNumbers, Targets, checked_names, refused_numbers

CACHE_BYTES = 256 * 2**20  # 87,000 images of 32x32

# an image and its label, or a pair of images and it: whatever the transforms make of them
Item: TypeAlias = tuple[Any, ...]


class DRRDataset(Dataset[Item]):
    """The reconstructed images of a ``.drr`` file.

    Items are ``(image, label)``; the image is a uint8 tensor (3, H, W), to which ``transform`` is
    applied. Pixels are the same bytes for every batch, worker and machine. The codes of a class are
    decoded when one of its images is first used, and stay in memory (160 bytes for an image of
    32x32); pixels stay up to ``cache_bytes``. Threads may share a dataset; they decode one after
    the other.

    With ``raw="pairs"`` the items are the raw exemplars that the file keeps: ``(raw,
    reconstruction, label)``, both images uint8 (3, H, W) and transformed.

    A program may change ``targets`` and ``classes``: items, arrays and copies in workers follow
    the change. Reading the file does not depend on them.

    Args:
        path: the path or the address of the file.
        classes: names or numbers of the classes to read, all by default. Labels follow this order,
            and only the streams of these classes are read.
        transform, target_transform: applied to an image (3, H, W) uint8 and to a label.
        cache_bytes: how much memory decoded pixels may take; 0 decodes every time.
        device: where the codec runs. Use the CPU if a `DataLoader` has workers.
        raw: "pairs" for the raw exemplars with their reconstructions, None for all images.

    Attributes:
        classes: names, in the order of the labels.
        class_to_idx: the label of each name in ``classes``; read only.
        class_order: all labels, in the order in which they are to be learned; read only.
        targets: the label of every item.
        image_size: (H, W).

    Raises:
        FormatError: the file is missing, damaged or not a .drr file (`drrpack.core.errors`).
        OptionError: the file lacks one of the classes, or keeps no raw images for pairs.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        classes: Sequence[str | int] | None = None,
        transform: Callable[[Tensor], object] | None = None,
        target_transform: Callable[[int], object] | None = None,
        cache_bytes: int = CACHE_BYTES,
        device: str | torch.device = "cpu",
        raw: Literal["pairs"] | None = None,
    ) -> None:
        self.reader = Reader(path)
        self.transform, self.target_transform = transform, target_transform
        self.device = torch.device(device)
        self._numbers = class_numbers(str(self.reader.path), self.reader.classes, classes)
        self._classes = [self.reader.classes[n] for n in self._numbers]
        self.image_size = self.reader.image_size
        counts = self.reader.images_per_class[self._numbers]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        labels = np.repeat(np.arange(len(counts)), counts)
        # the image of each item, numbered as the classes are read: all, or those that are kept raw
        self._images, self._raw = np.arange(len(labels)), None
        if raw is not None:
            self._images, self._raw = _pairs(self.reader, self._numbers, self._starts, raw)
        self._targets = Targets(str(self.reader.path), labels[self._images])
        self._codec: Codec | None = None
        self._codes: dict[int, Codes] = {}
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
        self._classes = checked_names(str(self.reader.path), names)

    @property
    def class_order(self) -> list[int]:
        """All labels in the order in which `encode` was told that they will be learned.

        Without such an order they count up from 0.
        """
        names = [self.reader.classes[number] for number in self._numbers]
        return metadata.class_order(self.reader.metadata, names)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each name in ``classes``; to change it raises OptionError."""
        return ClassNumbers(str(self.reader.path), self._classes)

    @class_to_idx.setter
    def class_to_idx(self, given: Mapping[str, int]) -> None:
        if given != self.class_to_idx:
            raise refused_numbers(str(self.reader.path))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: SupportsIndex) -> Item:
        try:
            number = one_number(index)
        except TypeError as error:
            raise TypeError(f"{self.reader.path}: {error}") from error
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
        try:
            return item_numbers(indices, len(self))
        except (IndexError, TypeError) as error:
            raise type(error)(f"{self.reader.path} has {len(self)} images; {error}") from error

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
        """
        codes = self._class_codes(self._images[self._items(indices)])
        top, bottom = (torch.from_numpy(grid.astype(np.int64)) for grid in codes.grids)
        return top, bottom

    def to_numpy(self) -> tuple[Pixels, NDArray[np.int64]]:
        """All images uint8 (N, H, W, 3) and labels (N,) int64: for Avalanche, PyCIL and others."""
        codes = self._class_codes(self._images)
        with self._lock:
            pixels = self.codec.decode(codes, self.image_size)
        return pixels, self._targets.array()

    def preload(self) -> DRRDataset:
        """Decode all codes now, so that forked or spawned workers need not; returns itself."""
        self._read_classes(range(len(self._numbers)))
        return self

    @property
    def codec(self) -> Codec:
        """The file's codec, loaded when first needed."""
        with self._lock:
            if self._codec is None:
                self._codec = load_codec(self.reader, self.device)
            return self._codec

    def _pixels(self, images: NDArray[np.int64]) -> Pixels:
        with self._lock:
            missing = self._cache.missing(images)
            if len(missing) == 0:
                return self._cache.get(images)
            decoded = self.codec.decode(self._class_codes(missing), self.image_size)
            self._cache.put(missing, decoded)
            return self._cache.merge(images, missing, decoded)

    def _class_codes(self, images: NDArray[np.int64]) -> Codes:
        labels = np.searchsorted(self._starts, images, side="right") - 1
        self._read_classes(np.unique(labels))
        found = Codes.empty(self.codec.top_shape(self.image_size), len(images))
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            inside = images[rows] - self._starts[label]
            for grid, codes in zip(found.grids, self._codes[label].grids, strict=True):
                grid[rows] = codes[inside]
        return found

    def _read_classes(self, labels: Iterable[int]) -> None:
        with self._lock:
            new = [int(label) for label in labels if int(label) not in self._codes]
            if not new:
                return
            found = read_codes(self.reader, self.codec, [self._numbers[label] for label in new])
            for label in new:
                self._codes[label] = found[self._numbers[label]]

    def __getstate__(self) -> dict[str, object]:
        """Decoded codes travel to spawned workers; networks and pixels are made anew there."""
        with self._lock:
            state = {**self.__dict__, "_codes": dict(self._codes)}
        cache = self._cache
        state["_cache"] = PixelCache(len(cache.slot), self.image_size, cache.budget_bytes)
        return {**state, "_codec": None}

    def __repr__(self) -> str:
        height, width = self.image_size
        what = "images" if self._raw is None else "pairs"
        return (
            f"DRRDataset({str(self.reader.path)!r}: {len(self)} {what} of {height}x{width}, "
            f"{len(self.classes)} classes)"
        )


def _pairs(
    reader: Reader, numbers: Sequence[int], starts: NDArray[np.int64], raw: str
) -> tuple[NDArray[np.int64], Pixels]:
    """Which images are kept raw, (n,), and their raw pixels (n, H, W, 3)."""
    if raw != "pairs":
        raise OptionError(f"raw={raw!r}: say 'pairs', or None for reconstructions alone")
    kept = [read_raw(reader, number) for number in numbers]
    if not sum(len(exemplars.positions) for exemplars in kept):
        raise OptionError(
            f"{reader.path}: keeps no raw exemplars of these classes; "
            "encode with `raw_per_class=20` to keep some"
        )
    images = [start + one.positions for start, one in zip(starts[:-1], kept, strict=True)]
    return np.concatenate(images), np.concatenate([one.images for one in kept])
