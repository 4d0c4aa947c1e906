"""What a method trains in a phase: from this follows how long a run takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from drrpack.trainers.incremental.context import PhaseContext

FORWARD = 1 / 3  # of a training step, the forward pass; backward takes twice as long


class Pace(Protocol):
    """How long something takes that has nothing to do with the run's network.

    Paces that are equal are measured once, so they can be hashed.
    """

    def __call__(self, device: torch.device) -> float:
        """The seconds that one item takes in one epoch, measured on a device."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Training:
    """One training of a phase, known before the phase begins.

    Attributes:
        images: of an epoch; of features their number, where these are trained on.
        epochs: how often each image comes.
        cost: of an image, in training steps of the run's network alone: 1 + `FORWARD` where a
            teacher sees each image as well, `FORWARD` where only the head is trained.
        pace: of a training that does not see the run's network at all, such as that of a GAN.
    """

    images: int
    epochs: int
    cost: float = 1.0
    pace: Pace | None = None

    @property
    def work(self) -> float:
        """Of all epochs, in training steps of one image by the run's network."""
        return self.images * self.epochs * self.cost if self.pace is None else 0.0

    def seconds(self, measured: Callable[[Pace], float]) -> float:
        """Of all epochs, beside that work."""
        return 0.0 if self.pace is None else self.images * self.epochs * measured(self.pace)


def by_recipe(context: PhaseContext, images: int, cost: float = 1.0) -> Training:
    """A training for as many epochs as the recipe has."""
    return Training(images, context.recipe.epochs, cost)
