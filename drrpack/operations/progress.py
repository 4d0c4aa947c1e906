"""Progress reports of operations: the events, and the protocol of functions that receive them."""

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
    from drrpack.trainers.comparison.choices import Comparison
    from drrpack.trainers.fitting.loop import FitProgress
    from drrpack.trainers.incremental.estimate import TimeEstimate
    from drrpack.trainers.incremental.results import CodecClasses
    from drrpack.trainers.incremental.run_progress import RunProgress


@dataclass(frozen=True)
class EntropyChoice:
    """The chosen entropy model, and the bytes that each would take, streams included."""

    taken: str
    sizes: dict[str, int]


@dataclass(frozen=True)
class RunStarted:
    """One of several trainings begins: which one, and the folder of its results."""

    method: str
    classes: int
    phases: int
    seed: int
    device: torch.device
    folder: Path
    number: int  # of this run, from 0
    runs: int  # in all
    codec_classes: CodecClasses | None
    name: str  # what tells it from the others: the method, and phases and seed where they differ


Event: TypeAlias = (
    "Step | Notice | EntropyChoice | FitProgress | RunStarted | RunProgress | EncodePlan"
    " | AppendPlan | Comparison | TimeEstimate"
)


class Report(Protocol):
    """A function that operations call with events.

    An event is a frozen dataclass. `Step` counts, `Notice` is a sentence, a plan comes before the
    work and describes it, and fits and trainings have events of their own. A function should ignore
    events that it does not know.
    """

    def __call__(self, event: Event, /) -> None: ...


def heard(report: Report | None) -> Report:
    """``report``, or by default a function that turns warnings into Python warnings only."""
    return _warn if report is None else report


def silent(event: Event) -> None:
    """The report of any process but the first: that one alone reports what all of them find."""


def _warn(event: Event) -> None:
    if isinstance(event, Notice) and event.warning:
        warnings.warn(event.text, UserWarning, stacklevel=4)
