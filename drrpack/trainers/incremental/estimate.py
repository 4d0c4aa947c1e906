"""About how long runs will take on this device, before the first of them trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from drrpack.trainers.incremental.run_plan import PlannedRun
from drrpack.trainers.incremental.trainings import Pace, Training
from drrpack.trainers.learning.recipes import stretched
from drrpack.trainers.learning.speed import seconds_an_image

WORTH_IT = 5_000  # images of all epochs, below which a training is over before it is timed
NARROWER = 2
SHORTER = 2


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of training on a device, as planned, with fewer epochs and with a narrower network.

    All trainings that methods declare are in it (`Method.trainings`); tests and the choice of
    exemplars are not.
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
    recipe, device = settings.recipe, settings.device
    if work_left(planned, recipe.epochs) < WORTH_IT:
        return None
    shape = context.data.test(context.new)[0].shape
    size = int(shape[1]), int(shape[2])

    @cache
    def measured(pace: Pace) -> float:
        return pace(device)

    @cache
    def an_image(width: int) -> float:
        return seconds_an_image(
            lambda: settings.network(context.classes, width), context.classes, size,
            replace(recipe, width=width), device,
        )  # fmt: skip

    def seconds(epochs: int, width: int) -> float:
        left = _left(planned, epochs, width)
        return sum(one.work * an_image(width) + one.seconds(measured) for one in left)

    fewer, narrower = max(1, recipe.epochs // SHORTER), max(1, recipe.width // NARROWER)
    return TimeEstimate(
        seconds(recipe.epochs, recipe.width), fewer, seconds(fewer, recipe.width),
        narrower, seconds(recipe.epochs, narrower), device,
    )  # fmt: skip


def work_left(planned: Sequence[PlannedRun], epochs: int) -> float:
    """What is still to be trained, by a recipe of ``epochs``: in images of all epochs, each of
    which counts as a training step of the run's network (`Training.work`)."""
    return sum(one.work for one in _left(planned, epochs, planned[0].settings.recipe.width))


def _left(planned: Sequence[PlannedRun], epochs: int, width: int) -> list[Training]:
    """The trainings still to come, by a recipe of ``epochs`` with networks of ``width``."""
    found, known = list[Training](), set[Path]()
    for run in planned:
        method = run.settings.new_method()
        for context, path in zip(run.contexts, run.paths, strict=True):
            if path in known or path.exists():
                continue
            known.add(path)
            recipe = replace(stretched(context.recipe, epochs), width=width)
            found += method.trainings(replace(context, recipe=recipe))
    return found
