"""Finetune: go on from the last network with the new classes alone; what forgetting costs."""

from __future__ import annotations

from typing import Any

import torch

from drrpack.trainers.incremental.methods.base import Method, PhaseContext, register
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.resnet import ResNet18, state_bytes


@register
class Finetune(Method):
    """Keeps nothing but its network."""

    name = "finetune"
    needs = frozenset({"raw_new"})

    def __init__(self) -> None:
        self.network: ResNet18 | None = None

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        classifier = context.train(images, labels, network=self.network)
        self.network = classifier.network
        return classifier

    def network_bytes(self, context: PhaseContext) -> int:
        """What the network takes; before there is one, what one like it takes."""
        if self.network is not None:
            return state_bytes(self.network)
        with torch.device("meta"):  # shapes alone
            return state_bytes(ResNet18(context.classes, context.recipe.width))

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The network from which the next phase goes on."""
        return {"old_network": self.network_bytes(context)}

    def state_dict(self) -> dict[str, Any]:
        assert self.network is not None
        sizes = {"classes": self.network.head.out_features, "width": self.network.width}
        return {**sizes, "weights": {n: t.cpu() for n, t in self.network.state_dict().items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network = ResNet18(state["classes"], state["width"])
        self.network.load_state_dict(state["weights"])
