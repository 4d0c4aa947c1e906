"""DER: dynamically expandable representation (Yan et al., CVPR 2021), without its pruning."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.methods.expanding import ExpandingMethod, ExpandingOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import Training
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.expanding import ExpandingResNet


@dataclass(frozen=True)
class DEROptions(ExpandingOptions):
    """The published values (the authors' code for CIFAR-100)."""

    head_epochs: int = 30  # of the head's second training, on exemplars of all classes
    temperature: float = 5.0  # of that training

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("head_epochs")
        self.check_range("temperature", above=0)


@register
class DER(ExpandingMethod):
    """Adds a whole ResNet for each phase; the head sees the features of all (equations 3 to 6).

    Then the head is trained anew, on as many exemplars of each new class as of each old one. The
    channel masks by which the paper prunes its networks are left out, as in the published code.
    That code's head has no bias, and none of its vectors is taken over from the last phase.
    """

    name = "der"
    revision = 1
    Options = DEROptions
    options: DEROptions
    added = None

    def trainings(self, context: PhaseContext) -> list[Training]:
        """As `MEMO`'s, and after the base the head's, on exemplars of all classes."""
        found, epochs = super().trainings(context), self.options.head_epochs
        if context.phase and epochs:
            images = self.exemplars_of(context, context.seen)
            found.append(Training(images, epochs, self.forward(context)))
        return found

    def rebalanced(self, context: PhaseContext, network: ExpandingResNet) -> ExpandingResNet:
        """The network with a new head, trained on the exemplars of all classes."""
        if self.options.head_epochs == 0:
            return network
        fresh = self.new_network(context)
        fresh.load_state_dict({**network.state_dict(), **prefixed(fresh, "head")})
        temperature = self.options.temperature

        def loss(trained: ExpandingResNet, batch: Batch) -> Tensor:
            return F.cross_entropy(trained(batch.images).float() / temperature, batch.labels)

        recipe = replace(context.recipe, label_smoothing=0.0)
        return context.train(
            *self.exemplars.labelled(), network=fresh, loss=loss, recipe=recipe,
            epochs=self.options.head_epochs, parameters=lambda trained: trained.head.parameters(),
            stage="head",
        ).network  # fmt: skip


def prefixed(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The weights of one part of a network, by their names in the whole."""
    return {
        name: value for name, value in network.state_dict().items() if name.startswith(f"{prefix}.")
    }
