"""Progress reports of a run of the protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from drrpack.trainers.learning.watch import TrainProgress, TrainReport


@dataclass(frozen=True)
class RunProgress:
    """One report of a run: where it is, how far (0 to 1 of all phases), and the time left.

    ``accuracy`` (percent) is None until the phase has been tested. ``loss`` is that of the
    training, None in the report that brings the accuracy. ``seconds_left`` is None while nothing
    has been trained yet from which to estimate it. ``terms`` are the named parts of the loss, and
    ``stage`` the name of a training beside the phase's first.
    """

    phase: int
    phases: int  # without the base, so the last phase has this number
    classes_seen: int
    epoch: int
    epochs: int
    fraction: float
    phase_fraction: float  # of this training
    loss: float | None
    seconds_left: float | None
    accuracy: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    stage: str = ""


Report = Callable[[RunProgress], None]


class Progress:
    """Turns the reports of one training into those of the run; a phase's work is its classes."""

    def __init__(self, report: Report | None, seen: Sequence[int], epochs: int) -> None:
        self.report, self.seen, self.epochs = report, seen, epochs
        self.start = time.monotonic()
        self.trained = 0  # classes of the phases carried out by this very process
        self._begun = -1  # the phase whose first training has begun

    def of_phase(self, phase: int) -> TrainReport | None:
        """The report to give to the training of ``phase``."""
        if self.report is None:
            return None

        def forward(at: TrainProgress) -> None:
            self._send(phase, at)

        return forward

    def tested(self, phase: int, accuracy: float, carried_out: bool) -> None:
        """Tell the accuracy of a phase that is done."""
        self.trained += self.seen[phase] if carried_out else 0
        if self.report is not None:
            whole = RunProgress(
                phase, len(self.seen) - 1, self.seen[phase], self.epochs, self.epochs,
                fraction=1.0, phase_fraction=1.0, loss=None, seconds_left=None, accuracy=accuracy,
            )  # fmt: skip
            self.report(self._placed(whole, sum(self.seen[: phase + 1]), self.trained))

    def _send(self, phase: int, at: TrainProgress) -> None:
        # how many trainings a phase has is not known: one beside the first, which has no name,
        # finds the phase's work all done, or not begun
        if not at.stage:
            self._begun = phase
        share = at.fraction if not at.stage else float(self._begun == phase)
        if self.report is not None:
            here = RunProgress(
                phase, len(self.seen) - 1, self.seen[phase], at.epoch, at.epochs,
                fraction=1.0, phase_fraction=at.fraction, loss=at.loss, seconds_left=None,
                terms=at.terms, stage=at.stage,
            )  # fmt: skip
            work = share * self.seen[phase]
            self.report(self._placed(here, sum(self.seen[:phase]) + work, self.trained + work))

    def _placed(self, at: RunProgress, done: float, worked: float) -> RunProgress:
        """``at`` with the share of the run that is done, and the time left: work is counted in
        classes, ``worked`` being what this very process has done of it."""
        pace = (time.monotonic() - self.start) / worked if worked else None  # seconds a class
        left = None if pace is None else pace * (sum(self.seen) - done)
        return replace(at, fraction=done / sum(self.seen), seconds_left=left)
