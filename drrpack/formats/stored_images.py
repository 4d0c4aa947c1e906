"""The images behind a `DRRDataset`: chunks of one or several files, decoded when they are needed.

A chunk of a class is the unit of reading. Codes of chunks stay in memory up to a bound of their
own, apart from that of pixels: the pixels of an image are decoded alone, in a fraction of a
millisecond, but its codes only with those of its whole chunk. So pixels must never push codes out,
and codes stay where no pixels are to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.errors import OptionError
from drrpack.formats.container import Reader
from drrpack.formats.file_set import FileSet
from drrpack.formats.indices import byte_bound
from drrpack.formats.memory import Place, load_codec, read_chunks
from drrpack.formats.recently_used import RecentlyUsed

CODES_BYTES = 256 * 2**20  # 1,600,000 images of 32x32

CHUNK = np.dtype([("file", "<i4"), ("row", "<i4"), ("label", "<i4"), ("images", "<i8")])


class StoredImages:
    """The images of some classes of some files, numbered class by class.

    Threads need a lock around it.

    Args:
        files: the files.
        chosen: which of their classes; the first one has label 0.
        device: where the codecs run.
        budget_bytes: how much memory decoded codes may take, or the one chunk that was read last
            where it takes more; None for no bound.

    Raises:
        OptionError: ``budget_bytes`` is no number of bytes.

    Attributes:
        chunks: (chunks,) of `CHUNK`: file and row of each chunk, its label and number of images.
        starts: the first image of each chunk, and the number of all images, (chunks + 1,).
    """

    def __init__(
        self, files: FileSet, chosen: Sequence[int], device: torch.device, budget_bytes: int | None
    ) -> None:
        self.files, self.device = files, device
        bound = None if budget_bytes is None else byte_bound("codes_bytes", budget_bytes)
        self.image_size = files.readers[0].image_size
        self.chunks = _chunks(files, chosen)
        self.starts = np.concatenate([[0], np.cumsum(self.chunks["images"], dtype=np.int64)])
        models = [_models(reader) for reader in files.readers]
        self._kinds = np.array([models.index(one) for one in models])  # the first file of its codec
        self._codecs: dict[int, Codec] = {}
        self._kept = RecentlyUsed[Codes](bound)  # by chunk

    def codec(self, file: int) -> Codec:
        """The codec of a file; files of the same models share one. ValueError after closing."""
        self.files.check_open()
        kind = int(self._kinds[file])
        if kind not in self._codecs:
            self._codecs[kind] = load_codec(self.files.readers[kind], self.device)
        return self._codecs[kind]

    def pixels(self, images: NDArray[np.int64]) -> Pixels:
        """Decoded images (n, H, W, 3) uint8: one call of the network for all images of a codec."""
        chunks, out = (
            self._chunks_of(images),
            np.empty((len(images), *self.image_size, 3), np.uint8),
        )
        for codec, where in self._by_codec(chunks):
            out[where] = codec.decode(self._gather(codec, images[where]), self.image_size)
        return out

    def codes(self, images: NDArray[np.int64]) -> Codes:
        """The codes of some images; OptionError where their files have grids of different sizes."""
        used = [codec for codec, _ in self._by_codec(self._chunks_of(images))] or [self.codec(0)]
        shapes = {codec.top_shape(self.image_size): None for codec in used}
        if len(shapes) > 1:
            found = " and ".join("{}x{}".format(*shape) for shape in shapes)
            raise OptionError(
                f"{self.files.name}: found grids of {found} top codes for an image, expected one "
                "size: ask for the codes of each file apart"
            )
        return self._gather(used[0], images)

    def _gather(self, codec: Codec, images: NDArray[np.int64]) -> Codes:
        """The codes of images of one codec: chunk by chunk, those first that are in memory."""
        found = Codes.empty(codec.top_shape(self.image_size), len(images))
        chunks = self._chunks_of(images)
        order = np.argsort(chunks, kind="stable")
        cuts = np.flatnonzero(np.diff(chunks[order])) + 1
        rows = {int(chunks[part[0]]): part for part in np.split(order, cuts) if len(part)}
        for number, codes in self._each(rows):
            inside = images[rows[number]] - self.starts[number]
            for grid, stored in zip(found.grids, codes.grids, strict=True):
                grid[rows[number]] = stored[inside]
        return found

    def _each(self, chunks: Iterable[int]) -> Iterator[tuple[int, Codes]]:
        """Some chunks and their codes, in any order."""
        self.files.check_open()
        wanted = list(chunks)
        missing = list[int]()
        for number in wanted:
            codes = self._kept.get(number)
            if codes is None:
                missing.append(number)
            else:
                yield number, codes
        for group in self.groups(missing):
            yield from self._decode(group).items()

    def keep(self, chunks: Iterable[int]) -> None:
        """Decode some chunks now and keep them, as far as the bound allows."""
        for _ in self._each(chunks):
            pass

    def keep_all(self) -> None:
        """Decode all chunks now; OptionError where their codes take more than the bound."""
        if not self._kept.fits(self.all_bytes):
            raise OptionError(
                f"{self.files.name}: found {self.all_bytes:,} bytes of codes, expected at most "
                f"`codes_bytes={self._kept.budget_bytes}`, as preloading keeps them all: raise it, "
                "or don't preload and read in the order of `drrpack.ChunkSampler`",
                option="codes_bytes",
            )
        self.keep(range(len(self.chunks)))

    def _decode(self, group: Sequence[int]) -> dict[int, Codes]:
        """The codes of some chunks, in the place of those that were used longest ago."""
        self._kept.make_room(self.bytes_of(group))
        found: dict[int, Codes] = {}
        for codec, where in self._by_codec(np.array(group)):
            numbers = [group[place] for place in where]
            found |= zip(
                numbers, read_chunks(codec, [self._place(n) for n in numbers]), strict=True
            )
        for number, codes in found.items():
            self._kept.put(number, codes)
        return found

    def groups(self, chunks: Iterable[int]) -> Iterator[list[int]]:
        """Some chunks, as many at a time as may be kept together, one at least.

        They are decoded side by side, which is several times as fast as one after the other.
        """
        group: list[int] = []
        size = 0
        for number in chunks:
            more = self.bytes_of([number])
            if group and not self._kept.fits(size + more):
                yield group
                group, size = [], 0
            group.append(number)
            size += more
        if group:
            yield group

    @property
    def kept_bytes(self) -> int:
        """What the codes in memory take."""
        return self._kept.nbytes

    @property
    def all_bytes(self) -> int:
        """What the codes of all images take."""
        return self.bytes_of(range(len(self.chunks)))

    @property
    def chunks_at_once(self) -> int:
        """How many chunks the bound has room for, by the largest; one at least."""
        sizes = self._sizes(range(len(self.chunks)))
        bound = self._kept.budget_bytes
        if bound is None or sizes.sum() <= bound:
            return max(1, len(sizes))
        return max(1, int(bound // sizes.max()))

    def bytes_of(self, chunks: Sequence[int]) -> int:
        """What the codes of some chunks take: 2 bytes a code."""
        return int(self._sizes(chunks).sum())

    def _sizes(self, chunks: Sequence[int]) -> NDArray[np.int64]:
        numbers, sizes = np.array(chunks, np.int64), np.zeros(len(chunks), np.int64)
        for codec, where in self._by_codec(numbers):
            rows, columns = codec.top_shape(self.image_size)
            sizes[where] = self.chunks["images"][numbers[where]] * (2 * 5 * rows * columns)
        return sizes

    def _chunks_of(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.starts, images, side="right") - 1

    def _by_codec(self, chunks: NDArray[np.int64]) -> Iterator[tuple[Codec, NDArray[np.intp]]]:
        """Each codec of some chunks, and the places of its chunks among them."""
        kinds = self._kinds[self.chunks["file"][chunks]]
        for kind in np.unique(kinds):
            yield self.codec(int(kind)), np.flatnonzero(kinds == kind)

    def _place(self, number: int) -> Place:
        chunk = self.chunks[number]
        return self.files.readers[int(chunk["file"])], int(chunk["row"])

    def __getstate__(self) -> dict[str, object]:
        """Decoded codes travel to spawned workers; networks are made anew there."""
        return {**self.__dict__, "_codecs": {}}


def _chunks(files: FileSet, chosen: Sequence[int]) -> NDArray[np.void]:
    """The chunks of the chosen classes: by label, then by file, then by row."""
    label_of = np.full(len(files.classes), -1)
    label_of[list(chosen)] = np.arange(len(chosen))
    parts = []
    for file, (reader, numbers) in enumerate(zip(files.readers, files.numbers, strict=True)):
        found = np.empty(len(reader.index), CHUNK)
        found["file"], found["row"] = file, np.arange(len(found))
        found["label"] = label_of[numbers[reader.index["class"]]]
        found["images"] = reader.index["images"]
        parts.append(found[found["label"] >= 0])
    together = np.concatenate(parts)
    return together[np.argsort(together["label"], kind="stable")]


def _models(reader: Reader) -> tuple[str, str]:
    """The same for files whose images one codec decodes."""
    digests = reader.structure.digests
    return digests["vqvae"], digests["entropy_model"]
