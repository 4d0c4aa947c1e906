"""Results side by side: the rows of a table, and the plot accuracy.png."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drrpack.core.errors import OptionError
from drrpack.formats.files.own import PNG_TEXT
from drrpack.formats.files.publish import write_atomic
from drrpack.formats.layout import Json
from drrpack.trainers.incremental.chart import look_of
from drrpack.trainers.incremental.grouping import Group, differing, distinct_names, grouped, telling
from drrpack.trainers.incremental.metrics import METRICS, mean
from drrpack.trainers.incremental.results import Result

LINES = "-", "--", ":"  # of the rounds of `look_of`


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds."""

    mean: float | None  # None where the phases do not define it
    deviation: float | None  # of the sample; None for one seed


@dataclass(frozen=True)
class Row:
    """A group of runs that differ in their seeds alone."""

    method: str
    phases: int  # after the base
    settings: Mapping[str, str]  # those that differ between the rows of a table
    seeds: int  # how many
    memory_bytes: int | None  # None: earlier versions may not have recorded it
    figures: Mapping[str, Spread]  # by the names of METRICS

    def to_json(self) -> Json:
        """All in one object, as summary.json has it."""
        row = {"method": self.method, "phases": self.phases, **self.settings}
        row |= {"seeds": self.seeds, "memory_bytes": self.memory_bytes}
        for name, figure in self.figures.items():
            row |= {name: figure.mean, f"{name}_std": figure.deviation}
        return row


def table(results: Iterable[Result]) -> list[Row]:
    """One row for each group of runs that differ in their seeds alone.

    Raises OptionError for results that may not stand side by side.
    """
    return rows_of(grouped(results))


def rows_of(groups: Sequence[Group]) -> list[Row]:
    """One row for each group, in their order."""
    columns = differing(groups)
    return [
        Row(
            method=group.method,
            phases=group.phases,
            settings={column: group.settings[column] for column in columns},
            seeds=len(group.runs),
            memory_bytes=group.runs[0].memory_bytes.get("total"),
            figures={metric: _spread(group.runs, metric) for metric in METRICS},
        )
        for group in groups
    ]


def _spread(runs: Sequence[Result], metric: str) -> Spread:
    values = [value for run in runs if (value := run.metric(metric)) is not None]
    return Spread(mean(values), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def best_first(groups: Iterable[Group]) -> list[Group]:
    """Groups by their average over phases; those without one last."""

    def average(group: Group) -> float:
        found = _spread(group.runs, "average_accuracy").mean
        return -math.inf if found is None else found

    return sorted(groups, key=average, reverse=True)


def plot(results: Iterable[Result], path: Path) -> None:
    """Accuracy over classes seen as a PNG: a line for each group, a band from worst to best seed.

    Raises OptionError for results that may not share a plot.
    """
    groups = best_first(grouped(results))
    names = distinct_names(groups, telling(groups))
    from matplotlib.figure import Figure  # slow; and not pyplot: no screen, no global state
    from matplotlib.ticker import MaxNLocator

    legend_rows = (len(groups) + 1) // 2
    figure = Figure(figsize=(6, 4 + 0.22 * legend_rows), layout="constrained")
    axes = figure.subplots()
    for number, (group, name) in enumerate(zip(groups, names, strict=True)):
        seen, accuracy = curve(group.runs)  # (P,), (S, P)
        colour, again = look_of(number)
        several = f", {len(group.runs)} seeds" if len(group.runs) > 1 else ""
        (line,) = axes.plot(
            seen, accuracy.mean(0), color=f"C{colour}", marker="o", markersize=3,
            linestyle=LINES[again], label=f"{name}{several}",
        )  # fmt: skip
        if len(group.runs) > 1:
            axes.fill_between(
                seen, accuracy.min(0), accuracy.max(0), color=line.get_color(), alpha=0.2
            )
    axes.set(xlabel="classes seen", ylabel="accuracy on raw test images (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)  # beside the curves it would hide some
    write_atomic(path, lambda file: figure.savefig(file, format="png", dpi=150, metadata=PNG_TEXT))


def curve(runs: Sequence[Result]) -> tuple[list[int], NDArray[np.float64]]:
    """Classes seen (P,) and accuracy (S, P) of S runs of one method; raises OptionError."""
    seen = [[phase.classes_seen for phase in run.phases] for run in runs]
    if any(other != seen[0] for other in seen):
        raise OptionError("runs of one method with different numbers of classes can't be averaged")
    return seen[0], np.array([[phase.accuracy for phase in run.phases] for run in runs])
