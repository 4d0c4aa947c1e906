"""Replay without a learned codec: keep every image as a small JPEG or WebP file."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from typing import ClassVar

import numpy as np
import torch

from drrpack.trainers.comparison.peers import Packed
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.learning.classifier import Classifier


class CompressedReplay(Method):
    """From scratch in each phase, on compressed images of all classes seen, new ones too, as DRR.

    All files have one quality, because a quality for each class would tell classes apart by what
    compression leaves of them, which raw test images don't show. It is the best at which all images
    seen fit into the shares of their classes together; each class has the same share of the budget
    (without one: of the bytes of the memory at hand, its raw exemplars left out). Where the lowest
    quality takes more, each class keeps its best images that fit into its own share. What all files
    have in common is not counted. That the quality may rise from phase to phase, for which raw
    images of old classes would be needed, is in favour of this rival.
    """

    needs = frozenset({"raw_seen"})
    depends_on_history = False
    qualities: ClassVar[tuple[float, ...]]  # all that the encoder tells apart, from the lowest

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self._sizes: dict[tuple[int, float], int] = {}  # of all files of a class, by quality
        self._last: dict[int, tuple[float, Packed]] = {}  # what a class was packed to last, and how

    @staticmethod
    @abstractmethod
    def pack(images: np.ndarray, quality: float) -> Packed:
        """Compress images (n, H, W, 3) uint8 and decompress them again."""

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """The best image at the lowest quality."""
        best, _ = context.raw([label], 1)
        return {}, float(self.pack(best.numpy(), self.qualities[0]).sizes[0])

    def train_phase(self, context: PhaseContext) -> Classifier:
        kept = self.kept(context)
        images = torch.from_numpy(np.concatenate([one.images for one in kept]))
        labels = [torch.full((len(one.images),), label) for label, one in enumerate(kept)]
        return context.train(images, torch.cat(labels))

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The compressed images of the classes seen."""
        return {"exemplars": sum(int(one.sizes.sum()) for one in self.kept(context))}

    def kept(self, context: PhaseContext) -> list[Packed]:
        """The files of each class seen, in class order."""
        memory = sum(size for part, size in context.memory_bytes.items() if part != "raw")
        share = (context.budget_bytes or memory) / context.classes
        room = share * len(context.seen)
        fitting = bisect_right(
            self.qualities, room,
            key=lambda quality: sum(self._bytes(context, c, quality) for c in context.seen),
        )  # fmt: skip
        if fitting:
            best = self.qualities[fitting - 1]
            return [self._packed(context, label, best) for label in context.seen]
        return [self._some(context, label, share) for label in context.seen]

    def _bytes(self, context: PhaseContext, label: int, quality: float) -> int:
        key = label, quality
        if key not in self._sizes:
            self._sizes[key] = int(self._packed(context, label, quality).sizes.sum())
        return self._sizes[key]

    def _packed(self, context: PhaseContext, label: int, quality: float) -> Packed:
        """All images of a class at some quality."""
        if label not in self._last or self._last[label][0] != quality:
            packed = self.pack(context.raw([label])[0].numpy(), quality)
            self._last[label] = quality, packed
        return self._last[label][1]

    def _some(self, context: PhaseContext, label: int, share: float) -> Packed:
        """The best images of a class that fit into its share at the lowest quality."""
        packed = self._packed(context, label, self.qualities[0])

        def size(each: int) -> float:
            return float(packed.sizes[context.best([label], each)].sum())

        context.room({}, size(1))  # an error where there is none at all
        fitting = bisect_right(range(1, len(packed.sizes) + 1), share, key=size)
        return packed.some(context.best([label], max(1, fitting)))
