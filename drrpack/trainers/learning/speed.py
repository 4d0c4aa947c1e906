"""How long a training will take on this device, from a few timed steps."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from drrpack.core.device import wait_for
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
