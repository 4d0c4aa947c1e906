"""ER: experience replay of raw exemplars, starting from the last network (Chaudhry et al. 2019)."""

from __future__ import annotations

from typing import ClassVar

from drrpack.trainers.incremental.buffer import Exemplars, Policy, least_bytes, policy_of, ranked
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import State
from drrpack.trainers.incremental.methods.finetune import Finetune
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.network import Network


@register
class ExperienceReplay(Finetune):
    """Trains on the raw images of new classes and on the exemplars kept of old ones, half and half:
    exemplars come as often as it takes, as in the paper a batch from memory goes with each new one.

    The best images of each class are kept, without loss and without a codec: a number of them, or
    as many as fit into the class's share of the budget.
    """

    name = "er"
    needs = frozenset({"raw_new", "ranked"})
    as_often: ClassVar[bool] = True  # exemplars come as often as new images, or each comes once

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.exemplars = Exemplars()

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        old = len(self.exemplars)
        times = max(1, round(len(images) / old)) if old else 0
        both = self.exemplars.before(images, labels, times)
        classifier = context.train(*both, network=self.network)
        self.network = classifier.network
        self.exemplars.add([ranked(context, c) for c in context.new], self._policy(context))
        return classifier

    @classmethod
    def trained_images(cls, context: PhaseContext) -> int:
        """The new images, and exemplars: as often, or each once."""
        if not cls.as_often:
            return super().trained_images(context)
        counts = context.data.counts
        new = sum(counts[label] for label in context.new)
        return 2 * new if context.phase else new

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """The network, and the best image."""
        return {"old_network": self.network_bytes(context)}, least_bytes(context, label)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The exemplars, packed as a memory packs its own, and the network to go on from."""
        return {"raw_exemplars": self.exemplars.nbytes, **super().memory_bytes(context)}

    def state_dict(self) -> State:
        return {**super().state_dict(), **self.exemplars.state_dict()}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        super().load_state_dict(state, context)
        self.exemplars.load_state_dict(state)

    def choose_exemplars(self, context: PhaseContext, network: Network) -> None:
        """Keep exemplars of the new classes, herded by the network that was trained."""
        self.exemplars.add_herded(context, network, self._policy(context))

    def _policy(self, context: PhaseContext) -> Policy:
        return policy_of(context, self.network_bytes(context))
