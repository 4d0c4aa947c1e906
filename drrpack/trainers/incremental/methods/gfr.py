"""GFR: generative feature replay (Liu et al., CVPR workshops 2020), a rival in the DRR paper."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from drrpack.core.settings import own_settings, seeded, skeleton
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import State
from drrpack.trainers.incremental.methods.finetune import Finetune
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import FORWARD, Training, by_recipe
from drrpack.trainers.learning.batches import Batch, epoch_batches
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.feature_gan import Critic, GANSettings, Generator, new_gan, train_gan
from drrpack.trainers.learning.network import state_bytes
from drrpack.trainers.learning.recipes import Recipe
from drrpack.trainers.learning.resnet import ResNet
from drrpack.trainers.learning.speed import GANPace
from drrpack.trainers.learning.training import Loss, Terms, smoothed

BATCH = 128  # images, for which the rates are published
VIEWS = 8  # of each image, whose features the GAN learns


@dataclass(frozen=True)
class GFROptions(MethodOptions):
    """The published values (the authors' code for CIFAR-100)."""

    learning_rate: float = 1e-3  # of Adam, at its peak, for batches of 128
    weight_decay: float = 2e-4
    distillation: float = 1.0  # of features, times old classes over new ones
    gan_epochs: int = 501
    gan_learning_rate: float = 1e-4
    hidden: int = 512  # units of the layers of the GAN
    noise: int = 200  # numbers that the generator starts from

    def __post_init__(self) -> None:
        self.check_range("learning_rate", "gan_learning_rate", above=0)
        self.check_range("weight_decay", "distillation")
        self.check_range("gan_epochs", "hidden", "noise", least=1)


@register
class GFR(Finetune):
    """Keeps no image: a GAN draws features of old classes, on which the head is trained.

    - The network's features of new images stay near to what the last network gave them: their
      distance is part of the loss. Its batch norms stay as they were.
    - The head is trained on features of new images and on drawn features of old classes.
    - Then the GAN learns the features of the new classes, and keeps what it drew of old ones. It
      sees `VIEWS` views of each image, flipped and cropped, by turns; the authors make a new one
      for each epoch.

    All parts of the loss count by the number of phases' worth of classes that are old.
    """

    name = "gfr"
    revision = 1
    Options = GFROptions
    options: GFROptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.gan: tuple[Generator, Critic] | None = None

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        loss = None
        if self.network is not None and self.gan is not None:
            loss = self._loss(context, self.network, self.gan[0])
        classifier = context.train(
            images, labels, network=self.network, loss=loss, optimiser=adam,
            recipe=self._recipe(context),
        )  # fmt: skip
        self.network = classifier.network
        if context.phase < context.last_phase:
            self.gan = self._learned(context, classifier.network, images, labels)
        return classifier

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The new images, which a teacher sees as well after the base; the features of their views,
        and the GAN of these."""
        images, cost = context.count(context.new), 1 + FORWARD if context.phase else 1
        found = [by_recipe(context, images, cost)]
        if context.phase < context.last_phase:
            pace = GANPace(*self._gan_sizes(context), keeps=context.phase > 0)
            found.append(Training(images, VIEWS, FORWARD))
            found.append(Training(images, self.options.gan_epochs, pace=pace))
        return found

    def _loss(self, context: PhaseContext, last: ResNet, drawing: Generator) -> Loss[ResNet]:
        teacher = context.snapshot(last)
        generator = copy.deepcopy(drawing).to(context.device).requires_grad_(False)
        old, factor = len(context.old), _factor(context)
        smoothing = context.recipe.label_smoothing
        chance = torch.Generator().manual_seed(context.stage_seed("drawn features"))

        def loss(network: ResNet, batch: Batch) -> Terms:
            network.eval()  # the moments of its batch norms fit the features that are drawn
            features, wanted = network.features(batch.images), teacher.features(batch.images)
            z = batch.own(generator.draw(batch.count, chance)).to(context.device)
            of = batch.own(torch.randint(old, (batch.count,), generator=chance)).to(context.device)
            drawn = generator(z, of)
            new_loss, old_loss = (
                smoothed(network.classify(seen), wanted_labels, network.seen, smoothing)
                for seen, wanted_labels in ((features, batch.labels), (drawn, of))
            )
            # the length of the distance over a batch of 128
            moved = torch.dist(features, wanted) * math.sqrt(BATCH / len(features))
            return {
                "cross_entropy": new_loss / (factor + 1),
                "drawn": factor * old_loss / (factor + 1),
                "distillation": self.options.distillation * factor * moved,
            }

        return loss

    def _learned(
        self, context: PhaseContext, network: ResNet, images: Tensor, labels: Tensor
    ) -> tuple[Generator, Critic]:
        """The GAN, which has learned the classes of the phase as well."""
        seed = context.stage_seed("gan")
        last = None if self.gan is None else self.gan[0]
        with seeded(seed):
            generator, critic = self._new_gan(context) if self.gan is None else self.gan
        generator, critic = copy.deepcopy(generator), copy.deepcopy(critic)
        train_gan(
            generator, critic, views(context, network, images, labels), labels,
            self._gan_settings(), seed=seed, device=context.device,
            last=None if last is None else copy.deepcopy(last).to(context.device),
            old=len(context.old), old_factor=_factor(context),
        )  # fmt: skip
        return generator.cpu().eval(), critic.cpu().eval()

    def _gan_settings(self) -> GANSettings:
        options = self.options
        return GANSettings(epochs=options.gan_epochs, learning_rate=options.gan_learning_rate)

    def _new_gan(self, context: PhaseContext) -> tuple[Generator, Critic]:
        return new_gan(*self._gan_sizes(context))

    def _gan_sizes(self, context: PhaseContext) -> tuple[int, int, int, int]:
        """Of features and of classes, and the options."""
        features = skeleton(lambda: self.new_network(context)).feature_size
        return features, context.classes, self.options.noise, self.options.hidden

    def _recipe(self, context: PhaseContext) -> Recipe:
        return replace(
            context.recipe,
            peak_lr=self.options.learning_rate * context.recipe.batch_size / BATCH,
            weight_decay=self.options.weight_decay,
        )

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The network to go on from, and the GAN."""
        gan = skeleton(lambda: nn.ModuleList(self._new_gan(context)))
        return {**super().memory_bytes(context), "gan": state_bytes(gan)}

    def state_dict(self) -> State:
        gan = {} if self.gan is None else {
            name: part.state_dict()
            for name, part in zip(("generator", "critic"), self.gan, strict=True)
        }  # fmt: skip
        return {**super().state_dict(), "gan": gan}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        super().load_state_dict(state, context)
        if state["gan"]:
            generator, critic = self._new_gan(context)
            generator.load_state_dict(state["gan"]["generator"])
            critic.load_state_dict(state["gan"]["critic"])
            self.gan = generator.eval(), critic.eval()


@own_settings()
def views(context: PhaseContext, network: ResNet, images: Tensor, labels: Tensor) -> Tensor:
    """Features (V, N, d) of `VIEWS` views of images (N, H, W, 3) uint8, made as in training."""
    frozen, seed = context.snapshot(network), context.stage_seed("views")
    found = torch.empty(VIEWS, len(images), network.feature_size, dtype=torch.float32)
    with torch.no_grad():
        for view in range(VIEWS):
            for batch in epoch_batches(images, labels, context.recipe, seed, view):
                seen = frozen.features(batch.images.to(context.device))
                found[view, batch.indices.cpu()] = seen.cpu()
    return found


def adam(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Adam under ``recipe``, in place of stochastic gradient descent."""
    return torch.optim.Adam(parameters, lr=recipe.peak_lr, weight_decay=recipe.weight_decay)


def _factor(context: PhaseContext) -> float:
    """How many times as many classes are old as are new."""
    return len(context.old) / len(context.new)
