"""LUCIR: learning a unified classifier incrementally via rebalancing (Hou et al., CVPR 2019)."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.methods.exemplar_replay import ExemplarReplay
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import FORWARD, Training, by_recipe
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.classifier import Classifier, NetworkClassifier
from drrpack.trainers.learning.heads import CosineHead, cosines
from drrpack.trainers.learning.resnet import ResNet
from drrpack.trainers.learning.training import Loss, Terms, smoothed


@dataclass(frozen=True)
class LUCIROptions(MethodOptions):
    """The published values (section 4.1, and the authors' code for CIFAR-100)."""

    less_forget: float = 5.0  # times the root of old classes over new ones
    margin: float = 0.5
    margin_classes: int = 2  # the new classes that an old image is most easily taken for
    margin_weight: float = 1.0
    balanced_epochs: int = 0  # of fine-tuning on exemplars alone: the authors' for ImageNet only

    def __post_init__(self) -> None:
        self.check_range("less_forget", "margin", "margin_weight", "balanced_epochs")
        self.check_range("margin_classes", least=1)


@register
class LUCIR(ExemplarReplay):
    """Trains the last network on new images and on exemplars of old classes, against a bias.

    - Logits are cosines times a learned scale, and features are not cut at zero, so that new
      classes are not louder than old ones.
    - The vectors of old classes stay as they were, and features keep the direction that the last
      network gave them: one minus their cosine, in the loss (equation 6).
    - An old image's cosine to its own class has to exceed those to the nearest new classes by a
      margin (equation 8).
    - The vectors of new classes start as the mean direction of their features.
    """

    name = "lucir"
    revision = 1
    Options = LUCIROptions
    options: LUCIROptions

    def new_network(self, context: PhaseContext) -> ResNet:
        return context.new_network(head=CosineHead, last_relu=False)

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        if self.network is None:
            classifier = context.train(images, labels, network=self.new_network(context))
        else:
            classifier = self._learned_on(
                context, imprinted(context, self.network),
                self.exemplars.before(images, labels), self._loss(context, self.network),
            )  # fmt: skip
            restore_vectors(classifier.network, self.network, len(context.old))
        self.choose_exemplars(context, classifier.network)
        if self.network is not None and self.options.balanced_epochs:
            classifier = context.train(
                *self.exemplars.labelled(), network=classifier.network,
                parameters=lambda network: network.head.parameters(),
                epochs=self.options.balanced_epochs, stage="balanced",
            )  # fmt: skip
        self.network = classifier.network
        return classifier

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The new images and each exemplar once, with a teacher after the base; then the head."""
        new, epochs = context.count(context.new), self.options.balanced_epochs
        if not context.phase:
            return [by_recipe(context, new)]
        images = new + self.exemplars_of(context, context.old)
        first = by_recipe(context, images, 1 + FORWARD)
        balanced = Training(self.exemplars_of(context, context.seen), epochs, FORWARD)
        return [first, balanced] if epochs else [first]

    def _learned_on(
        self, context: PhaseContext, start: ResNet, shown: tuple[Tensor, Tensor], loss: Loss[ResNet]
    ) -> NetworkClassifier[ResNet]:
        """The network of a phase after the base, trained from ``start`` on images and labels."""
        return context.train(*shown, network=start, loss=loss)

    def _loss(self, context: PhaseContext, last: ResNet) -> Loss[ResNet]:
        teacher, options = context.snapshot(last), self.options
        new = len(context.new)
        old = len(context.seen) - new
        less_forget = options.less_forget * math.sqrt(old / new)

        def loss(network: ResNet, batch: Batch) -> Terms:
            features = network.features(batch.images)
            found = cosines(features, held_vectors(network, old))
            logits = network.close(cosine_head(network).scale * found)
            kept = F.cosine_similarity(features, teacher.features(batch.images)).mean()
            terms = {
                "cross_entropy": smoothed(
                    logits, batch.labels, network.seen, context.recipe.label_smoothing
                ),
                "less_forget": less_forget * (1 - kept),
            }
            if bool((batch.labels < old).any()):
                above = margin_ranking(
                    found[:, : network.seen], batch.labels, old,
                    margin=options.margin, nearest=options.margin_classes,
                )  # fmt: skip
                old_images = [int((of < old).sum()) for of in (batch.labels, batch.all_labels)]
                terms["margin"] = options.margin_weight * batch.weight(*old_images) * above
            return terms

        return loss


def cosine_head(network: ResNet) -> CosineHead:
    """The head of LUCIR's network."""
    assert isinstance(network.head, CosineHead)
    return network.head


def held_vectors(network: ResNet, old: int) -> Tensor:
    """The vectors (classes, d) of the classes, the first ``old`` of which get no gradient."""
    weight = cosine_head(network).weight
    return torch.cat([weight[:old].detach(), weight[old:]])


def restore_vectors(network: ResNet, last: ResNet, old: int) -> None:
    """Give the first ``old`` classes the vectors of the ``last`` network again: weight decay alone
    has made them shorter, which no cosine shows but the vectors of the next classes would begin
    with."""
    with torch.no_grad():
        held = cosine_head(last).weight[:old]
        cosine_head(network).weight[:old] = held.to(cosine_head(network).weight.device)


def margin_ranking(
    found: Tensor, labels: Tensor, old: int, *, margin: float, nearest: int
) -> Tensor:
    """By how much, on average, the cosine of old images to their own class fails to exceed those to
    the ``nearest`` new classes by ``margin``: cosines (B, seen), labels (B,)."""
    hard = labels < old
    own = found[hard].gather(1, labels[hard, None])  # (b, 1)
    new = found[hard][:, old:]
    others = new.topk(min(nearest, new.shape[1])).values
    return F.relu(others - own + margin).mean()


def imprinted(context: PhaseContext, network: ResNet) -> ResNet:
    """A copy whose vectors of the phase's new classes are the mean directions of their features, as
    long as those of old classes are on average (section 3.4)."""
    start = copy.deepcopy(network)
    weight = cosine_head(start).weight
    old = len(context.old)
    with torch.no_grad():
        length = weight[:old].norm(dim=1).mean()
        for position, label in enumerate(context.new, old):
            features = context.features(network, context.raw([label])[0])
            direction = F.normalize(F.normalize(features).mean(0), dim=0)
            weight[position] = length * direction.to(weight.device)
    return start
