"""UB, the upper bound: train on the raw images of every class seen (paper, section 6.1)."""

from __future__ import annotations

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.learning.classifier import Classifier


@register
class UpperBound(Method):
    """From scratch in each phase, on all raw images: what DRR would reach without loss."""

    name = "ub"
    needs = frozenset({"raw_seen"})
    depends_on_history = False

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.seen)
        self._raw_bytes = images.numel()
        return context.train(images, labels)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """N * H * W * 3 of all training images seen."""
        return {"raw_images": self._raw_bytes}
