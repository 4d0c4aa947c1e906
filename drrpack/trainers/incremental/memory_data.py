"""The data of the protocol from a ``.drr`` file and its raw images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core.arrays import Labelled, Pixels
from drrpack.core.codec import Codec
from drrpack.core.errors import SourceError
from drrpack.core.wording import counted
from drrpack.formats import metadata
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.layout import AnyPath
from drrpack.formats.memory import load_codec
from drrpack.formats.originals import Originals, open_originals, open_test
from drrpack.formats.raw import read_raw
from drrpack.formats.sources.opening import Given, Opening
from drrpack.trainers.incremental.reconstructions import Reconstructions


class MemoryData:
    """Reconstructions from a ``.drr`` file, raw training and test images from its source.

    Implements `drrpack.trainers.incremental.phase_data.PhaseData`. Classes are numbered
    as in ``classes``.

    Args:
        memory: the file, or its address.
        numbers: which of its classes, by number in the file; all by default.
        test: the raw test images, if not those of the source that the file records.
        source: where that source is now, if it has moved, or the dataset.
        trusted: whether paths that the file itself names may be opened.
        how: how ``test`` is opened; where it says nothing, as the file's images were.

    Raises:
        SourceError: there are no raw test images.
    """

    def __init__(
        self,
        memory: AnyPath,
        *,
        numbers: Sequence[int] | None = None,
        test: Given | None = None,
        source: Given | None = None,
        trusted: bool = False,
        device: torch.device | None = None,
        how: Opening | None = None,
    ) -> None:
        dataset = DRRDataset(
            memory, classes=numbers, device=device or "cpu", cache_bytes=0, codes_bytes=None
        )
        self._images = Reconstructions(dataset)
        self._reader = dataset.reader
        self.classes: Sequence[str] = dataset.classes
        self.class_order: Sequence[int] = dataset.class_order  # that of the file, or as they lie
        self._test = open_test(
            self._reader, test, source, classes=self.classes, trusted=trusted, how=how
        )
        self._moved, self._trusted = source, trusted
        self._originals: Originals | None = None

    @property
    def memory_bytes(self) -> dict[str, int]:
        """The file by parts; of streams and raw exemplars those of the classes in use."""
        return dict(self._bytes_in_use)

    @cached_property
    def _bytes_in_use(self) -> dict[str, int]:
        parts = self._reader.byte_account()
        del parts["file"]
        chosen = self._reader.index[np.isin(self._reader.index["class"], self._numbers)]
        sizes = (int(chosen[f"{level}_bytes"].sum(dtype=np.int64)) for level in ("top", "bottom"))
        raw = self._reader.raw_index[np.isin(self._reader.raw_index["class"], self._numbers)]
        raw_bytes = int(raw["bytes"].sum(dtype=np.int64)) + raw.nbytes
        return {**parts, "payload": sum(sizes), "raw": raw_bytes}

    @cached_property
    def _numbers(self) -> list[int]:
        """The number in the file of each class."""
        of_name = {name: number for number, name in enumerate(self._reader.classes)}
        return [of_name[name] for name in self.classes]

    @cached_property
    def counts(self) -> Sequence[int]:
        """How many images each class has; asked for once a label, so counted once."""
        counts: list[int] = self._reader.images_per_class[self._numbers].tolist()
        return counts

    @property
    def device(self) -> torch.device:
        """Where the codec runs."""
        return self._images.dataset.device

    def after(self, seen: Sequence[int]) -> MemoryData:
        """These data, as one file serves all phases."""
        return self

    def ranking(self, label: int) -> NDArray[np.int64]:
        """All images of a class, in the order of herding on what the codec knows of them."""
        return self._images.ranking(label)

    def exemplars(self, label: int) -> tuple[NDArray[np.int64], Pixels]:
        """Raw exemplars that the file keeps of a class: positions in it, and images."""
        kept = read_raw(self._reader, self._numbers[label])
        return kept.positions, kept.images

    @property
    def fingerprint(self) -> str:
        """Of the file, the classes in use and the test images."""
        parts = self._reader.fingerprint, *self.classes, self._test.digest()
        return sha256("\0".join(parts).encode()).hexdigest()

    @property
    def codec_classes(self) -> list[str]:
        """Names of the classes that the codec was fitted on, as far as the file records them."""
        return metadata.fitted_classes(self._reader.metadata)

    @property
    def other_classes(self) -> list[str]:
        """Classes of the file that are not in use."""
        in_use = set(self.classes)
        return [name for name in self._reader.classes if name not in in_use]

    @property
    def has_raw(self) -> bool:
        """Whether the raw training images are at hand, as the upper bound needs them."""
        try:
            return not self._raw().missing(self.classes)
        except SourceError:
            return False

    def replayed(self, classes: Sequence[int]) -> Labelled:
        """Reconstructions (N, H, W, 3) uint8 and labels (N,) int64 of some classes."""
        return _labelled(classes, self._images.of)

    def raw(self, classes: Sequence[int]) -> Labelled:
        """The images that ``replayed`` reconstructs, in its order; SourceError if not at hand."""
        return self._of(self._raw(), classes, "training", "`source=DIR`")

    def _raw(self) -> Originals:
        if self._originals is None:
            self._originals = open_originals(
                self._reader, self._moved, "train", classes=self.classes, trusted=self._trusted
            )
        return self._originals

    def test(self, classes: Sequence[int]) -> Labelled:
        """Raw test images of some classes; SourceError where one of them has none."""
        return self._of(self._test, classes, "test", "`test=DIR`")

    def _of(self, originals: Originals, classes: Sequence[int], what: str, option: str) -> Labelled:
        without = originals.missing([self.classes[label] for label in classes])
        if not without:
            images, labels = _labelled(classes, lambda label: originals.load(self.classes[label]))
            found = set(labels.tolist())
            without = [self.classes[label] for label in classes if label not in found]
        if without:
            raise SourceError(
                f"{originals.roots}: found no {what} images of {counted(len(without), 'class')} "
                f"in use, such as {without[0]!r}; expected images of a class of that name: "
                f"add them, say where they are with {option}, or leave the class out with `classes`"
            )
        return images, labels

    @cached_property
    def _encoding(self) -> Codec:
        return load_codec(self._reader, self.device, encoder=True)

    def test_through_codec(self, classes: Sequence[int]) -> Labelled:
        """Test images as the file's own images were encoded, and decoded.

        Raises:
            OptionError: the encoder, or what chose the codes, is neither in the file nor shipped.
        """
        codec, size = self._encoding, self._reader.image_size

        def load(label: int) -> Pixels:
            return codec.decode(codec.encode(self._test.load(self.classes[label])), size)

        return _labelled(classes, load)


def _labelled(classes: Sequence[int], load: Callable[[int], Pixels]) -> Labelled:
    parts = [load(label) for label in classes]
    labels = np.repeat(np.asarray(classes, dtype=np.int64), [len(part) for part in parts])
    return np.concatenate(parts), labels
