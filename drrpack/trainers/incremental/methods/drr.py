"""DRR: train on the reconstructions of every image of every class seen (paper, section 4)."""

from __future__ import annotations

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.methods.ledger import kept_codes, least_codes
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import Training, by_recipe
from drrpack.trainers.learning.classifier import Classifier


@register
class DRR(Method):
    """From scratch in each phase, on reconstructions alone: new classes, too.

    Mixing raw images of new classes with reconstructions of old ones made the results worse
    (section 6.1). It keeps every image, so it forgets nothing: its distance to the upper bound
    is the price of compression. Under a budget it keeps the best images of each class.
    """

    name = "drr"
    needs = frozenset({"replayed"})
    depends_on_history = False

    def train_phase(self, context: PhaseContext) -> Classifier:
        each, _ = kept_codes(context, raw=False)
        return context.train(*context.replayed(context.seen, each))

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The images that are kept."""
        each, _ = kept_codes(context, raw=False)
        return [by_recipe(context, context.count(context.seen, each))]

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """All of the file but its payload, and the codes of an image."""
        return least_codes(context, raw=False)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The file as it stands, networks included, whichever of its classes have been seen."""
        return kept_codes(context, raw=False)[1]
