"""DRR: train on the reconstructions of every image of every class seen (paper, section 4)."""

from __future__ import annotations

from drrpack.trainers.classifier import Classifier
from drrpack.trainers.methods.base import Method, PhaseContext, register


@register
class DRR(Method):
    """From scratch in each phase, on reconstructions alone: new classes, too.

    Mixing raw images of new classes with reconstructions of old ones made the results worse
    (section 6.1). It keeps every image, so it forgets nothing: its distance to the upper bound
    is the price of compression.
    """

    name = "drr"
    needs = frozenset({"replayed"})
    depends_on_history = False

    def train_phase(self, context: PhaseContext) -> Classifier:
        return context.train(*context.replayed(context.seen))

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The file as it stands, networks included, whichever of its classes have been seen."""
        return dict(context.data.memory_bytes)
