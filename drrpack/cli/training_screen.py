"""What ``drrpack train`` prints: the run that begins, warnings, and tables at the end."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from rich.table import Table

from drrpack.cli.screen import plus_minus, table
from drrpack.cli.terminal import note, show_table
from drrpack.core.wording import counted
from drrpack.formats.files.own import RESULT
from drrpack.trainers.guessing import chance, most_by_guessing
from drrpack.trainers.incremental.grouping import grouped, heading, telling
from drrpack.trainers.incremental.metrics import METRICS
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.rundir import SUMMARY
from drrpack.trainers.incremental.study import by_phases
from drrpack.trainers.incremental.tables import Row, curve
from drrpack.trainers.incremental.tables import table as result_rows

_HEADINGS = {
    "average_accuracy": "average",
    "average_accuracy_with_base": "with base",
    "last_accuracy": "last",
}


def print_results(results: Sequence[Result], out: Path) -> None:
    """Print accuracies by phase, averages, and the paths of the results.

    Deviations are over seeds.
    """
    for count, group in by_phases(results):
        show_table(_phases(count, group))
    rows = result_rows(results)
    show_table(_summary(results, rows))
    for count, group in by_phases([r for r in results if r.through_codec is not None]):
        show_table(_through_codec(count, group))
    last = {row.method: row.figures["last_accuracy"].mean for row in rows}
    ours, ceiling = last.get("drr"), last.get("ub")
    if ours is not None and ceiling is not None and results[0].config.budget_bytes is None:
        guessed = max(_most_by_guessing(run) for run in results if run.method == "ub")
        seeds = min(row.seeds for row in rows)
        note(price_of_compression(ceiling - ours, seeds, learned=ceiling > guessed))
    found = results_file(results, out)
    note(f"{found.stem}: {found}\nplot: {out / 'accuracy.png'}")


def results_file(results: Sequence[Result], out: Path) -> Path:
    """The file with the figures: of one run and its ceiling its result, of several a summary."""
    runs = {(result.phase_count, result.seed) for result in results}
    return out / (SUMMARY if len(runs) > 1 else RESULT)


def _phases(count: int, results: Sequence[Result]) -> Table:
    groups = grouped(results)
    names = (one.name(telling(groups)) for one in groups)
    title = f"Accuracy on raw test images, %, {counted(count, 'phase')}"
    made = table(title, "classes seen", *names)
    columns = [curve(one.runs)[1] for one in groups]  # (seeds, phases)
    for number, phase in enumerate(results[0].phases):
        shown = (_spread(column[:, number].tolist()) for column in columns)
        made.add_row(str(phase.classes_seen), *shown)
    return made


def _summary(results: Sequence[Result], rows: Sequence[Row]) -> Table:
    headings = [_HEADINGS.get(metric, metric) for metric in METRICS]
    groups = grouped(results)
    settings = telling(groups)
    shown = [heading(name) for name in settings]
    made = table("Summary", "method", "phases", *shown, *headings, "memory MB")
    for row, group in zip(rows, groups, strict=True):
        spreads = [row.figures[metric] for metric in METRICS]
        cells = ["-" if s.mean is None else plus_minus(s.mean, s.deviation) for s in spreads]
        named = row.method, str(row.phases), *group.cells(settings)
        size = "-" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:.2f}"
        made.add_row(*named, *cells, size)
    return made


def _most_by_guessing(run: Result) -> float:
    """The last accuracy of a network that has learned nothing, at most; below all where a result
    of an earlier version does not say how many images were tested."""
    images = [sum(answers) for answers in run.confusion]
    return most_by_guessing(chance(images), sum(images)) if sum(images) else 0.0


def price_of_compression(points: float, seeds: int, *, learned: bool = True) -> str:
    """Say what ``points`` of accuracy between ub and drr in the last phase mean, by so many seeds
    of each; ``learned`` is False where ub is no better than guesses can be."""
    if not learned:
        return (
            "ub is no better than guesses, so this run shows nothing of the price of compression: "
            "say more `epochs`, a larger `width` or more images"
        )
    alone = " (one seed each; `seeds=3` tells how much of that is chance)" if seeds == 1 else ""
    if round(points, 2) <= 0:
        above = f"{-points:.2f} points above" if round(points, 2) < 0 else "as good as"
        return (
            f"drr keeps every image, and is {above} ub in the last phase: this run shows no price "
            f"of compression{alone}"
        )
    return (
        f"drr keeps every image, so its distance to ub, {points:.2f} points in the last phase, "
        f"is the price of compression{alone}"
    )


def _through_codec(count: int, results: Sequence[Result]) -> Table:
    made = table(
        f"Accuracy on test images that went through the codec, %, {counted(count, 'phase')}",
        "method", "average", "with base", "last",
    )  # fmt: skip
    groups = grouped(results)
    for group in groups:
        seen = [astuple(run.through_codec) for run in group.runs if run.through_codec is not None]
        columns = list(zip(*seen, strict=True))  # average, with base, last: one value a run
        cells = ["-" if None in column else _spread(column) for column in columns]
        made.add_row(group.name(telling(groups)), *cells)
    return made


def _spread(values: Sequence[float]) -> str:
    return plus_minus(statistics.fmean(values), statistics.stdev(values) if values[1:] else None)
