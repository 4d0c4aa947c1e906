"""Progress as lines, where no bars can be drawn: in log files, pipes and on dumb terminals."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

LEAST_SECONDS = 10.0  # between two lines of a stage
LEAST_FRACTION = 0.1  # of a stage


class Lines:
    """A line for each tenth of a stage at most, and none sooner than 10 seconds after another; and
    one at the end of each stage."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._stage: str | None = None
        self._finished = ""  # what the last line of the stage says
        self._fraction, self._time = 0.0, clock()

    def move(self, stage: str, fraction: float, detail: str, finished: str) -> None:
        """Say how far a stage is, if it is time to; complete the one before."""
        if stage != self._stage:
            self.complete()
            self._stage, self._fraction, self._time = stage, 0.0, self._clock()
        self._finished = finished
        now = self._clock()
        if (
            fraction - self._fraction >= LEAST_FRACTION
            and now - self._time >= LEAST_SECONDS
            and fraction < 1
        ):
            self._fraction, self._time = fraction, now
            self._print(stage, fraction, detail)

    def complete(self) -> None:
        """Say that the stage is done."""
        if self._stage is not None:
            self._print(self._stage, 1.0, self._finished)
        self._stage = None

    def _print(self, stage: str, fraction: float, detail: str) -> None:
        self._console.print(f"{stage:<15} {fraction:4.0%} {detail}", soft_wrap=True)
