"""What a method trains in a phase: from this follows how long a run takes."""

from __future__ import annotations

from dataclasses import dataclass

from drrpack.trainers.incremental.context import PhaseContext

FORWARD = 1 / 3  # of a training step, the forward pass; backward takes twice as long


@dataclass(frozen=True)
class Training:
    """One training of a phase, known before the phase begins.

    Attributes:
        images: of an epoch.
        epochs: how often each image comes.
        cost: of an image, in training steps of the run's network alone: 1 + `FORWARD` where a
            teacher sees each image as well, `FORWARD` where only the head is trained.
    """

    images: int
    epochs: int
    cost: float = 1.0

    @property
    def work(self) -> float:
        """Of all epochs, in training steps of one image by the run's network."""
        return self.images * self.epochs * self.cost


def by_recipe(context: PhaseContext, images: int, cost: float = 1.0) -> Training:
    """A training for as many epochs as the recipe has."""
    return Training(images, context.recipe.epochs, cost)
