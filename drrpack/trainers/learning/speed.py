"""How long a training will take on this device, from a few timed steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from drrpack.core.device import wait_for
from drrpack.core.settings import seeded
from drrpack.trainers.learning.feature_gan import GANSettings, new_gan, train_gan
from drrpack.trainers.learning.network import Network, new_network
from drrpack.trainers.learning.recipes import Recipe, stretched
from drrpack.trainers.learning.training import train_network

IMAGES = 64  # of a timed step at most; a narrow batch is enough to tell the pace
STEPS = 3


def seconds_an_image(
    make: Callable[[], Network],
    classes: int,
    image_size: tuple[int, int],
    recipe: Recipe,
    device: torch.device,
) -> float:
    """The time that one image takes in one epoch, on random images (H, W) in ``image_size``.

    A first step is not timed: it allocates memory and chooses algorithms.
    """
    size = min(recipe.batch_size, IMAGES)
    network = new_network(make, 0)
    chance = torch.Generator().manual_seed(0)
    images = torch.randint(256, (size, *image_size, 3), generator=chance).byte()
    labels = torch.randint(classes, (size,), generator=chance)

    def train(steps: int) -> float:
        start = time.perf_counter()
        train_network(
            network, images, labels, seen=classes, recipe=stretched(recipe, steps), seed=0,
            device=device,
        )  # fmt: skip
        wait_for(device)
        return time.perf_counter() - start

    train(1)
    return train(STEPS) / (STEPS * size)


@dataclass(frozen=True)
class GANPace:
    """How long a GAN of features takes for one feature in one epoch.

    Attributes:
        features, classes, noise, hidden: its sizes, as those of `feature_gan.new_gan`.
        keeps: whether it keeps what an earlier generator drew.
    """

    features: int
    classes: int
    noise: int
    hidden: int
    keeps: bool

    def __call__(self, device: torch.device) -> float:
        """The seconds, of random features on ``device``; first steps are not timed."""
        usual, chance = GANSettings(), torch.Generator().manual_seed(0)
        with seeded(0):
            generator, critic = new_gan(self.features, self.classes, self.noise, self.hidden)
            last, _ = new_gan(self.features, self.classes, self.noise, self.hidden)
        count = usual.batch_size * usual.critic_steps  # one of these steps is the generator's
        features = torch.rand(1, count, self.features, dtype=torch.float32, generator=chance)
        labels = torch.randint(self.classes, (count,), generator=chance)

        def train(epochs: int) -> float:
            start = time.perf_counter()
            train_gan(
                generator, critic, features, labels, GANSettings(epochs), seed=0, device=device,
                last=last.to(device) if self.keeps else None, old=self.classes,
            )  # fmt: skip
            wait_for(device)
            return time.perf_counter() - start

        train(1)
        return train(STEPS) / (STEPS * count)
