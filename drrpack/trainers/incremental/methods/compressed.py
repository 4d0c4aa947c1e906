"""Replay without a learned codec: keep every image as a small JPEG or WebP file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from drrpack.trainers.comparison.peers import Packed
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.learning.classifier import Classifier


class CompressedReplay(Method):
    """From scratch in each phase, on compressed images of all classes seen, new ones too, as DRR.

    Every class gets the same share of the budget (without one: of the bytes of the memory at hand,
    its raw exemplars left out). It keeps all its images at the best quality that fits into that,
    or the best images that fit at the lowest quality. What all files have in common is not counted.
    """

    needs = frozenset({"raw_seen"})  # each class's images are compressed once, when it is new
    depends_on_history = False
    qualities: ClassVar[tuple[float, ...]]  # all that the encoder tells apart, from the lowest

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self._kept: dict[int, Packed] = {}  # by class; a function of its images and its share

    @staticmethod
    @abstractmethod
    def pack(images: np.ndarray, quality: float) -> Packed:
        """Compress images (n, H, W, 3) uint8 and decompress them again."""

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """The best image at the lowest quality."""
        best = context.raw([label])[0][context.data.ranking(label)[:1]]
        return {}, float(self.pack(best.numpy(), self.qualities[0]).sizes[0])

    def train_phase(self, context: PhaseContext) -> Classifier:
        kept = [self._of(context, label) for label in context.seen]
        images = torch.from_numpy(np.concatenate([one.images for one in kept]))
        labels = [torch.full((len(one.images),), label) for label, one in enumerate(kept)]
        return context.train(images, torch.cat(labels))

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The compressed images of the classes seen."""
        return {"exemplars": sum(int(self._of(context, c).sizes.sum()) for c in context.seen)}

    def _of(self, context: PhaseContext, label: int) -> Packed:
        if label not in self._kept:
            self._kept[label] = self._fit(context.raw([label])[0], context, label)
        return self._kept[label]

    def _fit(self, images: Tensor, context: PhaseContext, label: int) -> Packed:
        memory = sum(size for part, size in context.data.memory_bytes.items() if part != "raw")
        share = (context.budget_bytes or memory) / context.classes
        lowest, highest = 0, len(self.qualities) - 1
        packed = self.pack(images.numpy(), self.qualities[0])
        if packed.sizes.sum() > share:
            best = context.data.ranking(label)
            fitting = int((np.cumsum(packed.sizes[best]) <= share).sum())
            context.room({}, float(packed.sizes[best[0]]))  # an error where there is none at all
            return packed.some(np.sort(best[: max(1, fitting)]))
        while lowest < highest:  # sizes grow with quality
            middle = (lowest + highest + 1) // 2
            tried = self.pack(images.numpy(), self.qualities[middle])
            if tried.sizes.sum() <= share:
                lowest, packed = middle, tried
            else:
                highest = middle - 1
        return packed
