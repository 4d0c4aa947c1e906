"""The interface through which the protocol and its methods get images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from drrpack.core.arrays import Labelled

# What a method looks at. A run is refused before it trains where one of them is missing
# (`drrpack.trainers.incremental.requirements`).
Need = Literal[
    "replayed",  # reconstructions from the memory, of all classes seen
    "exemplars",  # raw exemplars that the memory keeps of old classes
    "raw_new",  # raw training images of the classes that are new in the phase
    "raw_seen",  # raw training images of all classes seen, which only an upper bound may have
    "ranked",  # the order of a class's images, the best exemplars first
]
NEEDS: tuple[Need, ...] = get_args(Need)


class PhaseData(Protocol):
    """The images of an experiment. Classes are indices into ``classes``; so are the labels."""

    @property
    def classes(self) -> Sequence[str]:
        """The names, in file order."""

    @property
    def memory_bytes(self) -> Mapping[str, int]:
        """The memory's bytes by part, models included; the parts add up to the whole file."""

    @property
    def counts(self) -> Sequence[int]:
        """How many training images each class has."""

    @property
    def codec_classes(self) -> Sequence[str]:
        """Names of the classes that the codec was fitted on, as far as they are known."""

    @property
    def fingerprint(self) -> str:
        """A name for the content: another whenever an image, training or test, is another."""

    def after(self, seen: Sequence[int]) -> PhaseData:
        """The data as they are after the phase with the classes ``seen``: a memory may grow."""

    def ranking(self, label: int) -> npt.NDArray[np.int64]:
        """Positions of all images of a class, the best exemplars first."""

    def replayed(self, classes: Sequence[int]) -> Labelled:
        """Reconstructions for training: (N, H, W, 3) uint8 and (N,) int64, class by class."""

    def raw(self, classes: Sequence[int]) -> Labelled:
        """The images ``replayed`` reconstructs, in its order; SourceError if not at hand."""

    def exemplars(self, label: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Raw exemplars of a class that the memory keeps: positions (n,), images (n, H, W, 3)."""

    def test(self, classes: Sequence[int]) -> Labelled:
        """Raw test images of the same size; SourceError if not at hand."""

    def test_through_codec(self, classes: Sequence[int]) -> Labelled:
        """The test images as the memory's codec would keep them."""
