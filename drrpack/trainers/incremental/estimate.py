"""About how long runs will take on this device, before the first of them trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from drrpack.trainers.incremental.run_plan import PlannedRun
from drrpack.trainers.learning.speed import seconds_an_image

WORTH_IT = 5_000  # images of all epochs, below which a training is over before it is timed
NARROWER = 2


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of training on a device, as planned and with a narrower network.

    The time of trainings beside the first of a phase, and of tests, is not in it.
    """

    seconds: float
    epochs: int
    width: int
    narrower: int
    narrower_seconds: float
    device: torch.device


def estimate(planned: Sequence[PlannedRun]) -> TimeEstimate | None:
    """The time that runs will take together, from a few timed steps; None if it is short.

    Phases that are finished, and those that several runs share, count as what they are.
    """
    images = images_to_train(planned)
    if images < WORTH_IT:
        return None
    settings, context = planned[0].settings, planned[0].contexts[0]
    recipe = settings.recipe
    shape = context.data.test(context.new)[0].shape
    size = int(shape[1]), int(shape[2])

    def pace(width: int) -> float:
        return seconds_an_image(
            lambda: settings.network(context.classes, width), context.classes, size,
            replace(recipe, width=width), settings.device,
        )  # fmt: skip

    narrower = max(1, recipe.width // NARROWER)
    return TimeEstimate(
        images * pace(recipe.width), recipe.epochs, recipe.width, narrower,
        images * pace(narrower), settings.device,
    )  # fmt: skip


def images_to_train(planned: Sequence[PlannedRun]) -> int:
    """How many images all epochs have in which something is still to be trained."""
    found, known = 0, set()
    for run in planned:
        for context, path in zip(run.contexts, run.paths, strict=True):
            if path in known or path.exists():
                continue
            known.add(path)
            found += run.settings.recipe.epochs * run.settings.method.trained_images(context)
    return found
