"""What operations tell while they work: one protocol, which every long operation takes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from drrpack.core.progress import Notice, Step

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from drrpack.operations.append_plan import AppendPlan
    from drrpack.operations.encode_plan import EncodePlan
    from drrpack.trainers.comparison.compare import Comparison
    from drrpack.trainers.fitting.loop import FitProgress
    from drrpack.trainers.incremental.results import CodecClasses
    from drrpack.trainers.incremental.run_progress import RunProgress


@dataclass(frozen=True)
class Choice:
    """The entropy model that was taken, and the bytes that each would take, streams included."""

    taken: str
    sizes: dict[str, int]


@dataclass(frozen=True)
class RunStarted:
    """The next of several trainings begins: which one, and where its results will be."""

    method: str
    classes: int
    phases: int
    seed: int
    device: torch.device
    folder: Path
    number: int  # of this run, from 0
    runs: int  # in all
    codec_classes: CodecClasses | None


Event: TypeAlias = (
    "Step | Notice | Choice | FitProgress | RunStarted | RunProgress | EncodePlan | AppendPlan"
    " | Comparison"
)


class Report(Protocol):
    """Called with an event whenever there is something to tell.

    An event is a frozen dataclass: `Step` counts, `Notice` is a sentence, a plan comes before the
    work and says what is about to be done, and networks that are fitted or trained have events of
    their own. A function that does not know an event should pass over it.
    """

    def __call__(self, event: Event, /) -> None: ...


def heard(report: Report | None) -> Report:
    """``report``; without one, warnings become Python's and all else is left out."""
    return _warn if report is None else report


def _warn(event: Event) -> None:
    if isinstance(event, Notice) and event.warning:
        warnings.warn(event.text, UserWarning, stacklevel=4)
