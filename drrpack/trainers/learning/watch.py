"""Follow the loss of a training: progress reports, and the log of the whole training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from drrpack.core.errors import OptionError
from drrpack.trainers.learning.recipes import Recipe

REPORT_SECONDS = 0.5  # reading the loss makes a GPU wait, so not at every step


@dataclass(frozen=True)
class TrainProgress:
    """One report of a training: epochs done, the share of all steps done, the mean loss so far."""

    epoch: int
    epochs: int
    fraction: float
    loss: float
    seconds_left: float
    terms: Mapping[str, float] = field(default_factory=dict)  # mean of each named part of the loss
    stage: str = ""  # which training of a phase this is, where there are several


TrainReport = Callable[[TrainProgress], None]


@dataclass(frozen=True)
class TrainingLog:
    """How the loss of one training went, epoch by epoch."""

    stage: str
    losses: list[float]  # the mean over each epoch
    # the same for each named term, over those batches that had it; None where no batch had
    terms: dict[str, list[float | None]] = field(default_factory=dict)


class Watch:
    """Follows the loss, reports now and then, and stops a training that has diverged."""

    def __init__(
        self, report: TrainReport | None, recipe: Recipe, steps_per_epoch: int, stage: str
    ) -> None:
        self.report, self.recipe, self.stage = report, recipe, stage
        self.steps_per_epoch, self.steps = steps_per_epoch, recipe.epochs * steps_per_epoch
        self.start = self.reported = time.monotonic()
        self.loss = _Series()
        self.terms: dict[str, _Series] = {}
        self.epochs = 0  # that are over

    def step(self, step: int, loss: Tensor, terms: Mapping[str, Tensor]) -> None:
        self.loss.add(loss)
        for name, value in terms.items():
            if name not in self.terms:
                self.terms[name] = _Series(self.epochs)
            self.terms[name].add(value.detach())
        if (step + 1) % self.steps_per_epoch == 0:
            self._end_epoch()
        now, last = time.monotonic(), step + 1 == self.steps
        if last or now - self.reported >= REPORT_SECONDS:
            self.reported = now
            self._tell(step + 1)

    def log(self) -> TrainingLog:
        losses = [mean for mean in self.loss.means if mean is not None]
        return TrainingLog(
            self.stage, losses, {name: series.means for name, series in self.terms.items()}
        )

    def _end_epoch(self) -> None:
        self.epochs += 1
        for series in (self.loss, *self.terms.values()):
            series.end_epoch()

    def _tell(self, done: int) -> None:
        epoch, fraction, mean = done // self.steps_per_epoch, done / self.steps, self.loss.recent()
        if not math.isfinite(mean):
            raise OptionError(
                f"the training diverged in epoch {epoch}: the loss is {mean}. Recipe "
                f"{self.recipe.name!r} does not suit these images or the method's options; "
                "try the other, options nearer to the defaults, or another seed"
            )
        if self.report is not None:
            left = (time.monotonic() - self.start) * (1 - fraction) / fraction
            terms = {name: series.recent() for name, series in self.terms.items()}
            epochs = self.recipe.epochs
            self.report(TrainProgress(epoch, epochs, fraction, mean, left, terms, self.stage))


class _Series:
    """The values of one figure; they stay on the device until somebody asks."""

    def __init__(self, epochs_without: int = 0) -> None:
        self.means: list[float | None] = [None] * epochs_without  # of each epoch that is over
        self._epoch: list[Tensor] = []
        self._recent: Tensor | None = None  # mean over the last hundred values or so

    def add(self, value: Tensor) -> None:
        self._epoch.append(value)
        self._recent = value.clone() if self._recent is None else self._recent.lerp_(value, 0.02)

    def end_epoch(self) -> None:
        self.means.append(float(torch.stack(self._epoch).float().mean()) if self._epoch else None)
        self._epoch.clear()

    def recent(self) -> float:
        return math.nan if self._recent is None else float(self._recent)
