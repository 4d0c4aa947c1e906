"""What the page of a report says of the runs themselves: how they differ, what repeats them."""

from __future__ import annotations

from collections.abc import Sequence

from drrpack.core.wording import counted
from drrpack.formats.pages.look import Cell, Cells, html_table
from drrpack.trainers.incremental.grouping import Group, differing, heading, shown_settings
from drrpack.trainers.incremental.html_table import heads_of, named
from drrpack.trainers.incremental.results import Result


def summary_of(groups: Sequence[Group], doubles: Sequence[Result]) -> str:
    """How many runs, what they have in common, and in what they differ."""
    columns = differing(groups)
    runs = [run for group in groups for run in group.runs]
    first, seeds = runs[0], len({run.seed for run in runs})
    common = {
        "classes": f"{len(first.class_order)} classes",
        "base": f"base {first.config.base}",
        "recipe": f"recipe {first.recipe} ({counted(first.epochs, 'epoch')}, width {first.width})",
        "seeds": counted(seeds, "seed"),
        "device": first.device,
    }
    shared = [text for name, text in common.items() if name not in columns]
    again = f"; {len(doubles)} found twice, counted once" if doubles else ""
    apart = ", ".join(map(heading, columns))
    told = f". They differ in {apart}: see Settings" if apart else ""
    return ", ".join([counted(len(runs), "run"), *shared]) + again + told


def settings_table(groups: Sequence[Group]) -> str:
    """All that groups of runs differ in, in full; nothing where they differ in methods alone."""
    columns = differing(groups)
    if not columns:
        return ""
    in_full = [(group, {**group.shown, "options": group.settings["options"]}) for group in groups]
    body = [[*named(group, []), *(full[name] for name in columns)] for group, full in in_full]
    return f"<h2>Settings</h2>{html_table(heads_of(columns), body)}"


def runs_table(results: Sequence[Result]) -> str:
    """What to repeat each run with."""
    settings = [shown_settings(result) for result in results]
    columns = [name for name in settings[0] if len({one[name] for one in settings}) > 1]
    columns = [name for name in columns if name not in ("data", "drrpack")]  # stand there anyway
    body: list[Cells] = [
        [
            result.method,
            _count(result.config.phases),
            _count(result.seed),
            *(shown[column] for column in columns),
            (result.last_accuracy, f"{result.last_accuracy:.2f}"),
            (result.wall_seconds, f"{result.wall_seconds / 60:.1f}"),
            "yes" if result.complete else "no",
            result.config.data[:12],
            ", ".join(f"{name} {version}" for name, version in result.versions.items()),
        ]
        for result, shown in zip(results, settings, strict=True)
    ]
    end = ["last, %", "minutes", "complete", "data", "versions"]
    return html_table(["method", "phases", "seed", *map(heading, columns), *end], body)


def _count(number: int | None) -> Cell:
    return "-" if number is None else (number, str(number))
