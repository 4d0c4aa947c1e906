"""The images that a replay buffer holds, as a map-style dataset."""

from __future__ import annotations

from typing import SupportsIndex

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from drrpack.core.codec import Codec
from drrpack.formats.indices import Indices, item_numbers, one_number
from drrpack.formats.process_lock import ProcessLock
from drrpack.formats.replay.content import Content
from drrpack.formats.replay.packing import CodePacking, Rows

Item = tuple[Tensor, int]


class HeldImages(Dataset[Item]):
    """Items ``(image, label)``: a uint8 tensor (3, H, W) and a number; decoded when asked for.

    Items are those of the moment, class by class. Several threads may ask for them.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._size: tuple[int, int] | None = None
        self._content = Content(0)  # of no image, until the first one tells the size of a row
        self._lock = ProcessLock()  # held while the content is looked at or changed

    @property
    def bytes(self) -> int:
        """Exactly what is kept of the stream: packed codes, and for each class its label, the
        number of its images here and that of its images seen. Models are `model_bytes`."""
        with self._lock:
            return self._content.bytes

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W); None before the first images."""
        return self._size

    @property
    def seen(self) -> int:
        """How many images the stream has brought so far."""
        with self._lock:
            return sum(self._content.seen)

    @property
    def counts(self) -> dict[int, int]:
        """How many images the buffer has of each label that it has seen."""
        with self._lock:
            return dict(zip(self._content.labels, self._content.images().tolist(), strict=True))

    @property
    def targets(self) -> list[int]:
        """The label of each item, in their order."""
        return [label for label, images in self.counts.items() for _ in range(images)]

    def __len__(self) -> int:
        with self._lock:
            return len(self._content)

    def __getitem__(self, index: SupportsIndex) -> Item:
        return self.__getitems__([one_number(index)])[0]

    def __getitems__(self, indices: Indices) -> list[Item]:
        """Several items by one call of the network; `DataLoader` finds this by itself."""
        with self._lock:
            try:
                items = item_numbers(indices, len(self))
            except (IndexError, TypeError) as error:
                raise type(error)(f"the buffer has {len(self)} images; {error}") from error
            rows, labels = self._at(items)
        images = [image.clone() for image in self._decoded(rows)]  # no views, which pickle them all
        return list(zip(images, labels.tolist(), strict=True))

    def _packing_of(self, size: tuple[int, int]) -> CodePacking:
        return CodePacking.of(self._codec.top_shape(size), self._codec.vqvae.config.codebook_size)

    def _at(self, positions: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64]]:
        with self._lock:
            return self._content.at(positions)

    def _decoded(self, rows: Rows) -> Tensor:
        """Packed codes to images (n, 3, H, W) uint8."""
        if self._size is None:
            return torch.empty((0, 3, 0, 0), dtype=torch.uint8, device="cpu")
        codes = self._packing_of(self._size).unpack(rows)
        pixels = self._codec.decode(codes, self._size)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
