"""About how long runs will take on this device, before the first of them trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from drrpack.trainers.incremental.run_plan import PlannedRun
from drrpack.trainers.learning.recipes import stretched
from drrpack.trainers.learning.speed import seconds_an_image

WORTH_IT = 5_000  # images of all epochs, below which a training is over before it is timed
NARROWER = 2
SHORTER = 2


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of training on a device, as planned, with fewer epochs and with a narrower network.

    All trainings that methods declare are in it (`Method.trainings`); tests, the choice of
    exemplars and the GAN of gfr are not.
    """

    seconds: float
    epochs: int  # with fewer
    fewer_seconds: float
    width: int  # of a narrower network
    narrower_seconds: float
    device: torch.device


def estimate(planned: Sequence[PlannedRun]) -> TimeEstimate | None:
    """The time that runs will take together, from a few timed steps; None if it is short.

    Phases that are finished, and those that several runs share, count as what they are.
    """
    settings, context = planned[0].settings, planned[0].contexts[0]
    recipe, epochs = settings.recipe, max(1, settings.recipe.epochs // SHORTER)
    work = work_left(planned, recipe.epochs)
    if work < WORTH_IT:
        return None
    shape = context.data.test(context.new)[0].shape
    size = int(shape[1]), int(shape[2])

    def pace(width: int) -> float:
        return seconds_an_image(
            lambda: settings.network(context.classes, width), context.classes, size,
            replace(recipe, width=width), settings.device,
        )  # fmt: skip

    usual, narrower = pace(recipe.width), max(1, recipe.width // NARROWER)
    return TimeEstimate(
        work * usual, epochs, work_left(planned, epochs) * usual,
        narrower, work * pace(narrower), settings.device,
    )  # fmt: skip


def work_left(planned: Sequence[PlannedRun], epochs: int) -> float:
    """What is still to be trained, by a recipe of ``epochs``: in images of all epochs, each of
    which counts as a training step of the run's network (`Training.work`)."""
    found, known = 0.0, set()
    for run in planned:
        method = run.settings.new_method()
        for context, path in zip(run.contexts, run.paths, strict=True):
            if path in known or path.exists():
                continue
            known.add(path)
            shorter = replace(context, recipe=stretched(context.recipe, epochs))
            found += sum(training.work for training in method.trainings(shorter))
    return found
