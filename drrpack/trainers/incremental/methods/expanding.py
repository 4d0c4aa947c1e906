"""What DER and MEMO share: the network grows with each phase, and only what is new is trained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from drrpack.core.settings import skeleton
from drrpack.trainers.incremental.buffer import (
    Exemplars,
    Policy,
    exemplars_of,
    least_bytes,
    policy_of,
)
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method, State
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.trainings import FORWARD, Training, by_recipe
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.expanding import ExpandingResNet, auxiliary_loss
from drrpack.trainers.learning.network import state_bytes
from drrpack.trainers.learning.training import Loss, Terms, smoothed


@dataclass(frozen=True)
class ExpandingOptions(MethodOptions):
    """The published value."""

    auxiliary: float = 1.0  # weight of the loss of the newest features alone

    def __post_init__(self) -> None:
        self.check_range("auxiliary")


class ExpandingMethod(Method):
    """Adds a branch to the network in each phase, on raw exemplars of old classes and raw images of
    new ones, and then makes up for there being more of the new.

    An auxiliary head has the newest branch tell the new classes apart, and from all old ones. All
    branches count in ``memory_bytes``: that is the price of never forgetting a feature.
    """

    needs = frozenset({"raw_new"})
    Options = ExpandingOptions
    options: ExpandingOptions
    added: ClassVar[int | None]  # stages of the ResNet that a phase adds, the last; None: all

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.exemplars = Exemplars()
        self.network: ExpandingResNet | None = None

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        start = self.new_network(context)
        if self.network is None:
            classifier = context.train(images, labels, network=start)
        else:
            start.take_over(self.network)
            classifier = context.train(
                *self.exemplars.before(images, labels), network=start,
                loss=self._loss(context), parameters=newest,
            )  # fmt: skip
        self.exemplars.add_herded(context, classifier.network, self._policy(context))
        self.network = classifier.network
        if context.phase > 0:
            self.network = self.rebalanced(context, self.network)
        return context.classifier(self.network)

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The new images and each exemplar once: all branches see them, the newest is trained."""
        images = context.count(context.new) + self.exemplars_of(context, context.old)
        cost = 1.0
        if context.phase:
            cost = self.forward(context) + 2 * FORWARD * self._branch(context)
        return [by_recipe(context, images, cost)]

    def forward(self, context: PhaseContext) -> float:
        """What a forward pass through the network of the phase costs, as in `Training`."""
        branch = self._branch(context)
        return FORWARD * (1 - branch + branch * (context.phase + 1))

    def _branch(self, context: PhaseContext) -> float:
        """The share of a ResNet's work that a branch does: stages take about as much each."""
        return 1.0 if self.added is None else self.added / len(context.network.stages)

    @abstractmethod
    def rebalanced(self, context: PhaseContext, network: ExpandingResNet) -> ExpandingResNet:
        """A network whose head favours new classes no longer."""

    def _loss(self, context: PhaseContext) -> Loss[ExpandingResNet]:
        old = len(context.old)
        smoothing = context.recipe.label_smoothing

        def loss(network: ExpandingResNet, batch: Batch) -> Terms:
            features = network.features(batch.images)
            told = auxiliary_loss(network.tell_new(features), batch.labels, old)
            return {
                "cross_entropy": smoothed(
                    network.classify(features), batch.labels, network.seen, smoothing
                ),
                "auxiliary": self.options.auxiliary * told,
            }

        return loss

    def new_network(self, context: PhaseContext) -> ExpandingResNet:
        """The network of a phase, untrained: it has a branch for each phase so far."""
        return self._grown(context, context.phase + 1, len(context.new))

    def _grown(self, context: PhaseContext, branches: int, new: int) -> ExpandingResNet:
        shared = 0 if self.added is None else len(context.network.stages) - self.added
        return context.build(
            lambda: ExpandingResNet(
                context.network, context.classes, context.recipe.width,
                branches=branches, shared=shared, new=new,
            )
        )  # fmt: skip

    def network_bytes(self, context: PhaseContext) -> int:
        """What the network of this phase takes."""
        return state_bytes(skeleton(lambda: self.new_network(context)))

    def final_bytes(self, context: PhaseContext) -> int:
        """What the network of the last phase takes at most: for that a budget has to have room."""
        branches, new = context.last_phase + 1, context.classes
        return state_bytes(skeleton(lambda: self._grown(context, branches, new)))

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """The networks of the last phase, and an image."""
        return {"networks": self.final_bytes(context)}, least_bytes(context, label)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The exemplars, packed as a memory packs its own, and the networks of all phases."""
        return {"raw_exemplars": self.exemplars.nbytes, "networks": self.network_bytes(context)}

    def exemplars_of(self, context: PhaseContext, classes: Sequence[int]) -> int:
        """How many exemplars of ``classes`` are kept after the phase, about."""
        return exemplars_of(context, classes, self.final_bytes(context))

    def _policy(self, context: PhaseContext) -> Policy:
        return policy_of(context, self.final_bytes(context))

    def state_dict(self) -> State:
        assert self.network is not None
        weights = {name: t.cpu() for name, t in self.network.state_dict().items()}
        return {"weights": weights, **self.exemplars.state_dict()}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        self.network = self.new_network(context)
        self.network.load_state_dict(state["weights"])
        self.network.open_head(len(context.seen))
        self.exemplars.load_state_dict(state)


def newest(network: ExpandingResNet) -> list[nn.Parameter]:
    """The parameters that a phase trains."""
    return [parameter for part in network.newest() for parameter in part.parameters()]
