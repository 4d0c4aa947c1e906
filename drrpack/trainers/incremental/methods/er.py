"""ER: experience replay of raw exemplars, starting from the last network (Chaudhry et al. 2019)."""

from __future__ import annotations

from drrpack.trainers.incremental.buffer import packed_bytes, ranked
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.methods.exemplar_replay import ExemplarReplay
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import Training, by_recipe
from drrpack.trainers.learning.classifier import Classifier


@register
class ExperienceReplay(ExemplarReplay):
    """Trains on the raw images of new classes and on the exemplars kept of old ones, half and half:
    exemplars come as often as it takes, as in the paper a batch from memory goes with each new one.

    The best images of each class are kept, without loss and without a codec: a number of them, or
    as many as fit into the class's share of the budget.
    """

    name = "er"
    needs = frozenset({"raw_new", "ranked"})

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        both = self.exemplars.before(images, labels, times(len(images), len(self.exemplars)))
        classifier = context.train(*both, network=self.network)
        self.network = classifier.network
        self.exemplars.add([ranked(context, c) for c in context.new], self._policy(context))
        return classifier

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The new images, and exemplars as often."""
        new, old = context.count(context.new), self.exemplars_of(context, context.old)
        return [by_recipe(context, new + times(new, old) * old)]

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """The network, and the best image."""
        best = packed_bytes(ranked(context, label)[:1])
        return {"old_network": self.network_bytes(context)}, float(best)


def times(new: int, old: int) -> int:
    """How often each of ``old`` exemplars comes in an epoch, so that they are as many as ``new``
    images; 0 where there are none."""
    return max(1, round(new / old)) if old else 0
