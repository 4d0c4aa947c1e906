"""Runs on one self-contained page: curves, the paper's tables, accuracy against memory, images."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from drrpack.core.errors import OptionError, SourceError
from drrpack.core.wording import counted
from drrpack.formats.account import account
from drrpack.formats.container import Reader
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.files.own import RESULT
from drrpack.formats.files.publish import write_atomic
from drrpack.formats.files.storedfile import SIGNATURE
from drrpack.formats.layout import AnyPath
from drrpack.formats.pages.look import Cell, Cells, html_table, style
from drrpack.formats.preview import preview_grid
from drrpack.trainers.incremental.chart import Point, Series, chart
from drrpack.trainers.incremental.grouping import (
    Group,
    class_name,
    distinct_names,
    grouped,
    heading,
    telling,
    without_doubles,
)
from drrpack.trainers.incremental.html_table import heads_of, named
from drrpack.trainers.incremental.metrics import METRICS
from drrpack.trainers.incremental.report_memory import (
    against_memory,
    at_equal_memory,
    megabytes,
    memory_table,
)
from drrpack.trainers.incremental.report_runs import runs_table, settings_table, summary_of
from drrpack.trainers.incremental.results import Result, read_result
from drrpack.trainers.incremental.rundir import unfinished
from drrpack.trainers.incremental.tables import Row, Spread, best_first, curve, rows_of

ACROSS = {
    "Average over phases, % (the paper's table 1)": "average_accuracy",
    "After the last phase, % (the paper's table 2)": "last_accuracy",
}


def find_results(places: Iterable[Path]) -> list[Result]:
    """The results in some folders and their subfolders, and result files that are named; each once.

    Raises SourceError for a place that holds no result, and OptionError if no run is complete.
    """
    found: dict[Path, Result] = {}
    for place in places:
        if not place.exists():
            raise SourceError(
                f"{place}: found nothing there, expected the folder of a run or its {RESULT}; "
                "check the path, or give the folder of `drrpack train --out`"
            )
        _refuse_memory(place)
        paths = sorted(place.rglob(RESULT)) if place.is_dir() else [place]
        if not paths:
            left = unfinished(place) if place.is_dir() else None
            raise SourceError(
                f"{place} holds no {RESULT}; give folders of `drrpack train --out`"
                if left is None
                else f"{place} holds no {RESULT}, but {left}"
            )
        for path in paths:
            found[path.resolve()] = read_result(path)
    if not any(result.complete for result in found.values()):
        raise _none_complete(next(iter(found), None))
    return list(found.values())


def _none_complete(first: Path | None = None) -> OptionError:
    """The error that no run is complete; it says how that of the result ``first`` goes on."""
    left = None if first is None else unfinished(first.parent)
    how = "" if first is None or left is None else f"; the first, in {first.parent}, is {left}"
    return OptionError(f"none of these runs is complete yet{how}")


def _refuse_memory(place: Path) -> None:
    """Raise SourceError for a .drr file, which knows of no training."""
    try:
        with place.open("rb") as file:
            start = file.read(len(SIGNATURE))
    except OSError:  # a folder, or what can't be read as a result either
        return
    if start == SIGNATURE:
        raise SourceError(
            f"{place}: found a memory, expected the folder of a run: `drrpack train {place} --out "
            "run` makes one; to show images of the memory beside the runs, give it as `memory`"
        )


def complete(results: Sequence[Result]) -> list[Result]:
    """The results that have all their phases; raises OptionError if there are none."""
    done = [result for result in results if result.complete]
    if not done:
        raise _none_complete()
    return done


def write_report(results: Sequence[Result], path: Path, memory: AnyPath | None = None) -> None:
    """Write the page for ``results``, with pictures from the file ``memory`` where one is given.

    Runs that differ in their seeds alone are one row, a run that is there twice counts once. A run
    that is not complete yet stands in the list of runs and nowhere else.

    Raises OptionError for results that may not share a table, OutputError, and what reading
    ``memory`` raises.
    """
    page = Template(
        files("drrpack.trainers.incremental").joinpath("report.html").read_text("utf-8")
    )
    (every, doubles), chosen = without_doubles(results), complete(results)
    groups = best_first(grouped(chosen))
    rows, columns = rows_of(groups), telling(groups)
    text = page.substitute(
        style=style(),
        summary=escape(summary_of(groups, doubles)),
        curves=_curves(groups, columns),
        figures=_figures(rows, groups, columns),
        across=_across_phases(rows, groups, columns),
        newest=_newest(groups, columns),
        memories=memory_table(groups, columns),
        against=against_memory(rows, groups, columns),
        equal=at_equal_memory(groups, columns),
        classes=_class_changes(groups, columns),
        codec_views=_codec_views(groups, columns),
        pictures="" if memory is None else _bits(memory) + _pictures(memory),
        settings=settings_table(groups),
        runs=runs_table(every),
    )
    write_atomic(path, lambda file: file.write(text.encode()))


def _curves(groups: Sequence[Group], columns: Sequence[str]) -> str:
    """Figure 3 of the paper: a chart for each number of phases."""
    charts: dict[int, list[Series]] = {}
    looks: dict[str, int] = {}  # the same in all charts
    for group in groups:
        seen, accuracy = curve(group.runs)  # (P,), (S, P)
        points = [
            Point(x, float(column.mean()), float(column.min()), float(column.max()))
            for x, column in zip(seen, accuracy.T, strict=True)
        ]
        name = group.name(columns)
        own = Series(name, points, looks.setdefault(name, len(looks)))
        charts.setdefault(group.phases, []).append(own)
    every = [one for series in charts.values() for one in series]
    return "".join(
        f"<figure><figcaption>{counted(phases, 'phase')}</figcaption>"
        f"{chart(series, 'classes seen', 'accuracy, %', lines=True, beside=every)}</figure>"
        for phases, series in sorted(charts.items(), reverse=True)
    )


def _figures(rows: Sequence[Row], groups: Sequence[Group], columns: Sequence[str]) -> str:
    """The figures of each group of runs."""
    body: list[Cells] = []
    for row, group in zip(rows, groups, strict=True):
        spreads = [_spread(row.figures[metric]) for metric in METRICS]
        body.append([*named(group, columns), *spreads, megabytes(row.memory_bytes)])
    heads = ["average, %", "with phase 0, %", "last, %", "forgetting, points", "memory, MB"]
    return html_table([*heads_of(columns), *heads], body)


def _across_phases(rows: Sequence[Row], groups: Sequence[Group], columns: Sequence[str]) -> str:
    """Tables 1 and 2 of the paper, where runs have several numbers of phases: those across."""
    counts = sorted({row.phases for row in rows}, reverse=True)
    if len(counts) == 1:
        return ""
    by_name: dict[tuple[str, ...], dict[int, Row]] = {}
    for row, group in zip(rows, groups, strict=True):
        by_name.setdefault((row.method, *group.cells(columns)), {})[row.phases] = row
    heads = ["method", *map(heading, columns), *(counted(count, "phase") for count in counts)]
    tables = []
    for title, metric in ACROSS.items():
        body = [
            [*name, *(_spread(found[n].figures[metric]) if n in found else "-" for n in counts)]
            for name, found in by_name.items()
        ]
        tables.append(f"<h2>{title}</h2>{html_table(heads, body)}")
    return "".join(tables)


def _spread(found: Spread) -> Cell:
    if found.mean is None:
        return "-"
    deviation = "" if found.deviation is None else f" ± {found.deviation:.2f}"
    return found.mean, f"{found.mean:.2f}{deviation}"


def _newest(groups: Sequence[Group], columns: Sequence[str]) -> str:
    """The classes of the last phase, after it: means over seeds."""
    body: list[Cells] = []
    for group in groups:
        found = [newest for run in group.runs if (newest := run.newest_at_end()) is not None]
        means = [sum(column) / len(found) for column in zip(*map(astuple, found), strict=True)]
        cells: Cells = [(mean, f"{mean:.2f}") for mean in means] or 3 * ["-"]
        body.append([*named(group, columns), *cells])
    told = ["accuracy on them, %", "answers that name one, %", "test images of one, %"]
    return html_table([*heads_of(columns), *told], body)


def _class_changes(groups: Sequence[Group], columns: Sequence[str]) -> str:
    """Each class when it was new, and after the last phase; the mean over seeds.

    Results of earlier versions may lack these figures, or the names of the classes.
    """
    tables = []
    for group, title in zip(groups, distinct_names(groups, columns), strict=True):
        changes: dict[str, list[tuple[float, float]]] = {}
        for result in group.runs:
            last = result.phases[-1].class_accuracy
            for place, number in enumerate(result.class_order[: len(last)]):
                first = next(p for p in result.phases if len(p.class_accuracy) > place)
                pair = first.class_accuracy[place], last[place]
                changes.setdefault(class_name(result, number), []).append(pair)
        body: list[Cells] = []
        for name, pairs in changes.items():
            new, end = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
            body.append(
                [name, *((v, f"{v:.1f}") for v in (new, end)), (end - new, f"{end - new:+.1f}")]
            )
        made = html_table(["class", "when new, %", "at the end, %", "change"], body)
        tables.append(f"<details><summary>{escape(title)}</summary>{made}</details>")
    return "".join(tables)


def _codec_views(groups: Sequence[Group], columns: Sequence[str]) -> str:
    body: list[Cells] = []
    for group in groups:
        pairs = [
            (run.last_accuracy, run.through_codec.last_accuracy)
            for run in group.runs
            if run.through_codec is not None
        ]
        if not pairs:
            continue
        raw, seen = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
        body.append([*named(group, columns), *((v, f"{v:.2f}") for v in (raw, seen))])
    if not body:
        return ""
    made = html_table([*heads_of(columns), "raw test images, %", "through the codec, %"], body)
    return f"<h2>Test images that went through the codec</h2>{made}"


def _bits(memory: AnyPath) -> str:
    """Table 4 of the paper: bits of a code, by level, as coded and by two references."""
    with Reader(memory) as reader:
        found = account(reader)
    levels = found.bits_per_code
    body: list[Cells] = [
        [name, *("-" if bits is None else (bits, f"{bits:.3f}") for bits in astuple(level))]
        for name, level in (("top", levels.top), ("bottom", levels.bottom), ("both", levels.all))
    ]
    made = html_table(["codes", found.entropy_model, "order-0 entropy", "lzma"], body)
    said = f"Of the {found.images:,} images in {found.path} (the paper's table 4)."
    return f"<h2>Bits per code</h2><p>{escape(said)}</p>{made}"


def _pictures(memory: AnyPath) -> str:
    grid, note = preview_grid(DRRDataset(memory))
    data = io.BytesIO()
    grid.save(data, "PNG", optimize=True)
    source = base64.b64encode(data.getvalue()).decode()
    return (
        f"<h2>Reconstructions</h2><p>{escape(note)}</p>"
        f'<div class="wide"><img alt="images of the memory" src="data:image/png;base64,{source}">'
        "</div>"
    )
