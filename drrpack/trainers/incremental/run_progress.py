"""What a run of the protocol tells while it is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drrpack.trainers.learning.classifier import TrainProgress, TrainReport


@dataclass(frozen=True)
class RunProgress:
    """One report of a run: where it is, how far (0 to 1 of all phases), and the time left.

    ``accuracy`` (percent) is None until the phase has been tested. ``loss`` is that of the
    training, None in the report that brings the accuracy. ``seconds_left`` is None while nothing
    has been trained yet from which to estimate it.
    """

    phase: int
    phases: int  # without the base, so the last phase has this number
    classes_seen: int
    epoch: int
    epochs: int
    fraction: float
    phase_fraction: float  # of this phase's training
    loss: float | None
    seconds_left: float | None
    accuracy: float | None = None


Report = Callable[[RunProgress], None]


class Progress:
    """Turns the reports of one training into those of the run; a phase's work is its classes."""

    def __init__(self, report: Report | None, seen: Sequence[int], epochs: int) -> None:
        self.report, self.seen, self.epochs = report, seen, epochs
        self.start = time.monotonic()
        self.trained = 0  # classes of the phases carried out by this very process

    def of_phase(self, phase: int) -> TrainReport | None:
        """The report to give to the training of ``phase``."""
        if self.report is None:
            return None

        def forward(at: TrainProgress) -> None:
            self._send(phase, at.epoch, at.fraction, loss=at.loss)

        return forward

    def tested(self, phase: int, accuracy: float, carried_out: bool) -> None:
        """Tell the accuracy of a phase that is done."""
        self.trained += self.seen[phase] if carried_out else 0
        self._send(phase, self.epochs, 1.0, accuracy=accuracy)

    def _send(
        self,
        phase: int,
        epoch: int,
        fraction: float,
        *,
        loss: float | None = None,
        accuracy: float | None = None,
    ) -> None:
        if self.report is None:
            return
        done = sum(self.seen[:phase]) + fraction * self.seen[phase]
        worked = self.trained + (fraction * self.seen[phase] if accuracy is None else 0)
        pace = (time.monotonic() - self.start) / worked if worked else None  # seconds a class
        self.report(
            RunProgress(
                phase,
                len(self.seen) - 1,
                self.seen[phase],
                epoch,
                self.epochs,
                done / sum(self.seen),
                fraction,
                loss,
                None if pace is None else pace * (sum(self.seen) - done),
                accuracy,
            )
        )
