"""Training recipes of classifiers: the paper's, exactly as published, and a fast one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Literal

from drrpack.core.errors import OptionError
from drrpack.core.wording import counted
from drrpack.formats.layout import Json
from drrpack.trainers.learning.strong import STRENGTHS, Strength


@dataclass(frozen=True)
class Recipe:
    """Everything that affects a training except the data, the seed and the device."""

    name: str
    epochs: int
    batch_size: int
    peak_lr: float
    schedule: Literal["steps", "one_cycle"]
    warmup_epochs: float  # of rising learning rate, linear (steps) or cosine (one_cycle)
    milestones: tuple[float, ...]  # epochs at which "steps" divides by ``lr_divisor``
    nesterov: bool
    label_smoothing: float
    width: int  # filters of the first block of ResNet-18
    lr_divisor: float = 5.0  # the paper, section 6.1
    momentum: float = 0.9  # the paper, section 6.1
    weight_decay: float = 5e-4  # the paper, section 6.1; on every parameter, as is usual there
    augmentation: Strength = "crop"  # beside flips, as in the paper; or one of `strong.STRENGTHS`

    def to_json(self) -> Json:
        """Its fields. The augmentation is not among them where it is the paper's, so that runs of
        before have the same settings."""
        found: Json = asdict(self)
        if self.augmentation == "crop":
            del found["augmentation"]
        return found


# Section 6.1 and appendix D. The paper is silent on the batch size; 128 is that of the training
# code whose other numbers (0.1, 5e-4, /5 at 60, 120, 160) it took over.
PAPER = Recipe(
    name="paper",
    epochs=200,
    batch_size=128,
    peak_lr=0.1,
    schedule="steps",
    warmup_epochs=5,
    milestones=(60, 120, 160),
    nesterov=False,
    label_smoothing=0.0,
    width=64,
)

FAST = Recipe(
    name="fast",
    epochs=30,  # one cycle needs a seventh of the epochs of a schedule in steps
    batch_size=256,  # fills a GPU; half the optimiser steps
    peak_lr=0.2,  # the paper's 0.1 at 128, scaled with the batch
    schedule="one_cycle",
    warmup_epochs=9,  # 30 % of the run rising, as Smith and Topin 2018 and PyTorch
    milestones=(),
    nesterov=True,  # steadier than plain momentum at a high rate, and free
    label_smoothing=0.1,  # the usual value; short trainings end over-confident without it
    width=32,  # a quarter of the work of ResNet-18; a CPU alone wants 8 or 16
)

RECIPES = {recipe.name: recipe for recipe in (PAPER, FAST)}

# OneCycle starts at peak / 25 and ends at a 10,000th of that (PyTorch's defaults).
ONE_CYCLE_START, ONE_CYCLE_END = 25.0, 1e4


def get_recipe(
    name: str, epochs: int | None = None, width: int | None = None, augmentation: str = "crop"
) -> Recipe:
    """The recipe called ``name``, stretched to ``epochs``; raises OptionError.

    Milestones and warm-up keep their place relative to the whole.
    """
    if name not in RECIPES:
        raise OptionError(f"no recipe is called {name!r}; there are: {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    if (epochs is not None and epochs < 1) or (width is not None and width < 1):
        raise OptionError(f"epochs and width must be 1 or more, not epochs={epochs}, width={width}")
    if augmentation not in STRENGTHS:
        raise OptionError(
            f"`augmentation={augmentation!r}`: say one of {', '.join(STRENGTHS)}",
            option="augmentation",
        )
    recipe = replace(recipe, augmentation=augmentation)
    if epochs is not None:
        recipe = stretched(recipe, epochs)
    return recipe if width is None else replace(recipe, width=width)


def stretched(recipe: Recipe, epochs: int) -> Recipe:
    """``recipe`` over another number of epochs: milestones and warm-up in proportion."""
    if epochs == recipe.epochs:
        return recipe
    scale = epochs / recipe.epochs
    return replace(
        recipe,
        epochs=epochs,
        warmup_epochs=recipe.warmup_epochs * scale,
        milestones=tuple(milestone * scale for milestone in recipe.milestones),
    )


def recipe_changes(recipe: Recipe) -> list[str]:
    """How ``recipe`` departs from the published one of its name, in words for result.json."""
    published = RECIPES[recipe.name]
    changes = []
    if recipe.epochs != published.epochs:
        places = ", ".join(f"{milestone:g}" for milestone in recipe.milestones)
        steps = f"milestones at epochs {places} and " if places else ""
        changes.append(
            f"{counted(recipe.epochs, 'epoch')} instead of {published.epochs}: {steps}"
            f"{recipe.warmup_epochs:g} epochs of warm-up, scaled in proportion"
        )
    if recipe.width != published.width:
        changes.append(f"width {recipe.width} instead of {published.width}")
    if recipe.augmentation != published.augmentation:
        changes.append(f"{recipe.augmentation} beside flips and crops")
    return changes


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of optimiser step ``step``, counted from 0."""
    if recipe.schedule == "one_cycle":
        return _one_cycle(recipe, step, recipe.epochs * steps_per_epoch)
    warmup_steps = recipe.warmup_epochs * steps_per_epoch
    passed = sum(step >= milestone * steps_per_epoch for milestone in recipe.milestones)
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0
    return recipe.peak_lr * warm / recipe.lr_divisor**passed


def _one_cycle(recipe: Recipe, step: int, steps: int) -> float:
    """A cosine up to the peak, then a cosine down to next to nothing, as torch's OneCycleLR."""
    start = recipe.peak_lr / ONE_CYCLE_START
    top = recipe.warmup_epochs / recipe.epochs * steps - 1  # the step at the peak
    if step <= top:
        return _cosine(start, recipe.peak_lr, step / top if top > 0 else 1.0)
    down = (step - top) / max(1e-9, steps - 1 - top)
    return _cosine(recipe.peak_lr, start / ONE_CYCLE_END, down)


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))
