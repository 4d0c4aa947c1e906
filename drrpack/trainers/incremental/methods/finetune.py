"""Finetune: train the last network on the new classes alone; this shows forgetting."""

from __future__ import annotations

from drrpack.core.settings import skeleton
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method, State
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.network import state_bytes
from drrpack.trainers.learning.resnet import ResNet


@register
class Finetune(Method):
    """Keeps nothing but its network."""

    name = "finetune"
    needs = frozenset({"raw_new"})

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.network: ResNet | None = None

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        classifier = context.train(images, labels, network=self.network)
        self.network = classifier.network
        return classifier

    def new_network(self, context: PhaseContext) -> ResNet:
        """The network that the base starts from, untrained."""
        return context.new_network()

    def network_bytes(self, context: PhaseContext) -> int:
        """What the network takes; before there is one, what one like it takes."""
        network = (
            skeleton(lambda: self.new_network(context)) if self.network is None else self.network
        )
        return state_bytes(network)

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float] | None:
        """What it keeps whatever the budget."""
        return self.memory_bytes(context), 0.0

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The network from which the next phase goes on."""
        return {"old_network": self.network_bytes(context)}

    def state_dict(self) -> State:
        assert self.network is not None
        return {"weights": {n: t.cpu() for n, t in self.network.state_dict().items()}}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        self.network = self.new_network(context)
        self.network.load_state_dict(state["weights"])
