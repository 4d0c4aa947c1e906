"""iCaRL: incremental classifier and representation learning (Rebuffi et al., CVPR 2017)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.methods.exemplar_replay import ExemplarReplay
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import FORWARD, Training, by_recipe
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.network import Network
from drrpack.trainers.learning.recipes import Recipe
from drrpack.trainers.learning.resnet import ResNet


@dataclass(frozen=True)
class ICaRLOptions(MethodOptions):
    """The published values (section 4, and the authors' code)."""

    # at its peak, for batches of 128: high, as the loss is a mean over classes too
    learning_rate: float = 2.0
    weight_decay: float = (
        2e-5  # the authors add 1e-5 times the squares, whose gradient is twice that
    )

    def __post_init__(self) -> None:
        self.check_range("learning_rate", above=0)
        self.check_range("weight_decay")


@register
class ICaRL(ExemplarReplay):
    """Trains the last network on new images and on exemplars of old classes, and answers by the
    nearest mean of exemplars.

    - Every class has a sigmoid and a binary cross-entropy. Of old classes the targets are what the
      last network said, of new ones the labels (algorithm 3).
    - Exemplars are chosen by herding on the features of the network just trained (algorithm 4).
    - The class is that of the nearest mean feature of exemplars, mirrored images among them
      (algorithm 1). The head serves the training alone. Features are not cut at zero, as in the
      authors' code.
    """

    name = "icarl"
    revision = 2
    Options = ICaRLOptions
    options: ICaRLOptions

    def new_network(self, context: PhaseContext) -> ResNet:
        return context.new_network(last_relu=False)

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        images, labels = self.exemplars.before(images, labels)
        teacher = None if self.network is None else context.snapshot(self.network)
        old = len(context.old)

        def loss(network: Network, batch: Batch) -> Tensor:
            wanted = None if teacher is None else teacher(batch.images)[:, :old]
            return binary_loss(network(batch.images)[:, : network.seen], batch.labels, wanted)

        network = context.train(
            images, labels, network=self.network or self.new_network(context), loss=loss,
            recipe=self._recipe(context),
        ).network  # fmt: skip
        self.choose_exemplars(context, network)
        self.network = network
        kept, kept_labels = self.exemplars.labelled()
        both_ways = torch.cat([kept, kept.flip(2)]), torch.cat([kept_labels, kept_labels])
        return context.nearest_mean(network, *both_ways)

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The new images and each exemplar once; a teacher sees them as well after the base."""
        images = context.count(context.new) + self.exemplars_of(context, context.old)
        return [by_recipe(context, images, 1 + FORWARD if context.phase else 1)]

    def _recipe(self, context: PhaseContext) -> Recipe:
        """The run's with the published rate, in proportion to the batch, and weight decay."""
        rate = self.options.learning_rate * context.recipe.batch_size / 128
        return replace(context.recipe, peak_lr=rate, weight_decay=self.options.weight_decay)


def binary_loss(logits: Tensor, labels: Tensor, wanted: Tensor | None) -> Tensor:
    """The binary cross-entropy of logits (B, C) against labels (B,), a mean over images and
    classes. Of the first classes the targets are the sigmoids of ``wanted`` (B, old), if given."""
    targets = F.one_hot(labels, logits.shape[1]).float()
    if wanted is not None:
        targets = torch.cat([wanted.float().sigmoid(), targets[:, wanted.shape[1] :]], 1)
    return F.binary_cross_entropy_with_logits(logits.float(), targets)
