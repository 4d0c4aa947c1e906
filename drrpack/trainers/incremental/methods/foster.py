"""FOSTER: feature boosting and compression (Wang et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.methods.exemplar_replay import ExemplarReplay
from drrpack.trainers.incremental.methods.lwf import distillation
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import FORWARD, Training, by_recipe
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.network import Linear, Network
from drrpack.trainers.learning.resnet import ResNet
from drrpack.trainers.learning.training import Loss, Terms, smoothed


@dataclass(frozen=True)
class FOSTEROptions(MethodOptions):
    """The published values (the authors' code for CIFAR-100, base 50 and phases of 10)."""

    boosting_balance: float = 0.94  # beta of the effective numbers of images, while boosting
    compression_balance: float = 0.97  # the same, while compressing
    temperature: float = 2.0
    weight: float = 1.0  # of the distillation, while boosting
    compression_epochs: int | None = None  # as many as the recipe has; the authors' 130 of 170

    def __post_init__(self) -> None:
        self.check_range("boosting_balance", "compression_balance", "weight")
        self.check_range("temperature", above=0)
        for name in ("boosting_balance", "compression_balance"):
            if getattr(self, name) >= 1:
                raise ValueError(f"found {name}={getattr(self, name)}, expected less than 1")
        if self.compression_epochs is not None:
            self.check_range("compression_epochs", least=1)


class Boosted(Network):
    """The network of the last phase, which stays as it is, and a new one beside it.

    One head sees the features of both. Another sees those of the new network alone, so that it
    learns to tell all classes by itself.
    """

    def __init__(self, last: ResNet, fresh: ResNet, classes: int) -> None:
        super().__init__()
        self.seen = classes
        self.last, self.fresh = last, fresh
        self.feature_size = last.feature_size + fresh.feature_size
        self.head = Linear(self.feature_size, classes)
        self.own_head = Linear(fresh.feature_size, classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) float -> (B, 2 d): the last network's, then the new one's."""
        return torch.cat([self.last.features(x), self.fresh.features(x)], 1)

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, 2 d) to logits (B, classes)."""
        return self.close(self.head(features))

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, classes) of both networks, of the new one alone and of the last one."""
        features = self.features(x)
        size = self.last.feature_size
        old, new = features[:, :size], features[:, size:]
        return self.classify(features), self.close(self.own_head(new)), self.last.classify(old)

    def trained(self) -> list[nn.Parameter]:
        """The parameters of everything but the last network."""
        parts = (self.fresh.blocks, self.fresh.stem, self.fresh.bn, self.head, self.own_head)
        return [parameter for part in parts for parameter in part.parameters()]


@register
class FOSTER(ExemplarReplay):
    """Boosts the last network by a second one, and then compresses both into one.

    - Boosting (section 3.2): the new network learns what the last one, which is frozen, lacks. In
      the loss, logits of a class are divided by its weight, so that those of classes with few
      images have to grow. The new features alone tell all classes, too. Old classes keep the
      answers of the last network.
    - Compression (section 3.3): one network of the usual size learns the answers of both, balanced
      by such weights. It is tested, kept, and boosted in the next phase.

    A phase trains on raw images of the new classes and on raw exemplars of old ones. Exemplars are
    herded by the features of the compressed network, where the authors' code has those of both.
    """

    name = "foster"
    Options = FOSTEROptions
    options: FOSTEROptions

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        if self.network is None:
            network: ResNet = context.train(images, labels).network
        else:
            both = self.exemplars.before(images, labels)
            boosted = self._boosted(context, self.network, *both)
            network = self._compressed(context, self.network, boosted, *both)
        self.choose_exemplars(context, network)
        self.network = network
        return context.classifier(network)

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The new images and each exemplar once: to boost, when the last network sees them as well,
        and to compress, when both networks do."""
        new = context.count(context.new)
        if not context.phase:
            return [by_recipe(context, new)]
        images = new + self.exemplars_of(context, context.old)
        epochs = self.options.compression_epochs or context.recipe.epochs
        return [
            by_recipe(context, images, 1 + FORWARD),
            Training(images, epochs, 1 + 2 * FORWARD),
        ]

    def _boosted(
        self, context: PhaseContext, last: ResNet, images: Tensor, labels: Tensor
    ) -> Boosted:
        """The last network and a new one beside it, which begins as a copy of it."""
        old = len(context.old)
        weights = class_weights(images_of(labels), self.options.boosting_balance).to(context.device)
        smoothing = context.recipe.label_smoothing

        def loss(network: Boosted, batch: Batch) -> Terms:
            logits, own, kept = network.answers(batch.images)
            balanced = logits[:, : network.seen] / weights
            told = distillation(logits[:, :old], kept[:, :old], self.options.temperature)
            return {
                "cross_entropy": smoothed(balanced, batch.labels, network.seen, smoothing),
                "own_features": smoothed(own, batch.labels, network.seen, smoothing),
                "distillation": self.options.weight * told,
            }

        start = context.build(
            lambda: Boosted(context.new_network(), context.new_network(), context.classes)
        )
        for network in (start.last, start.fresh):
            network.load_state_dict(last.state_dict())
        with torch.no_grad():  # old features go on as they were
            for mine, theirs in zip(start.head.parameters(), last.head.parameters(), strict=True):
                mine[..., : theirs.shape[-1]] = (
                    theirs  # (C, d) of weights (C, 2 d), and biases (C,)
                )
        return context.train(
            images, labels, network=start, loss=loss, parameters=Boosted.trained
        ).network

    def _compressed(
        self, context: PhaseContext, last: ResNet, boosted: Boosted, images: Tensor, labels: Tensor
    ) -> ResNet:
        """One network, which begins as the last one and learns the answers of the boosted one."""
        weights = class_weights(images_of(labels), self.options.compression_balance)
        return context.train(
            images, labels, network=last, stage="compression",
            epochs=self.options.compression_epochs,
            recipe=replace(context.recipe, weight_decay=0.0),
            loss=self._learned_from(context.snapshot(boosted), weights.to(context.device)),
        ).network  # fmt: skip

    def _learned_from(self, teacher: Boosted, weights: Tensor) -> Loss[ResNet]:
        def loss(network: ResNet, batch: Batch) -> Tensor:
            seen = network.seen
            logits, wanted = network(batch.images), teacher(batch.images)
            temperature = self.options.temperature
            return distillation(logits[:, :seen], wanted[:, :seen], temperature, weights)

        return loss


def images_of(labels: Tensor) -> Sequence[int]:
    """How many images each class has, from labels (N,)."""
    counts: list[int] = torch.bincount(labels).tolist()
    return counts


def class_weights(counts: Sequence[int], beta: float) -> Tensor:
    """A weight for each class (C,), one on average, by the effective number of its images.

    That is (1 - beta^n) / (1 - beta) for n images; a weight is its inverse (Cui et al. 2019).
    """
    numbers = torch.tensor(counts, dtype=torch.float64)
    inverse = (1 - beta) / (1 - beta**numbers)
    return (inverse / inverse.mean()).float()
