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
    differing,
    distinct_names,
    grouped,
    heading,
    shown_settings,
    without_doubles,
)
from drrpack.trainers.incremental.html_table import heads_of, named
from drrpack.trainers.incremental.report_memory import (
    against_memory,
    at_equal_memory,
    memory_table,
)
from drrpack.trainers.incremental.results import Result, read_result
from drrpack.trainers.incremental.rundir import unfinished
from drrpack.trainers.incremental.tables import Row, curve, table


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
    groups, rows = grouped(chosen), table(chosen)
    columns = differing(groups)
    text = page.substitute(
        style=style(),
        summary=escape(_summary(groups, columns, doubles)),
        curves=_curves(groups, columns),
        averages=_by_phases(rows, columns, "average_accuracy"),
        lasts=_by_phases(rows, columns, "last_accuracy"),
        forgetting=_by_phases(rows, columns, "forgetting"),
        newest=_newest(groups, columns),
        memories=memory_table(groups, columns),
        against=against_memory(rows, groups, columns),
        equal=at_equal_memory(groups, columns),
        classes=_class_changes(groups, columns),
        codec_views=_codec_views(groups, columns),
        pictures="" if memory is None else _bits(memory) + _pictures(memory),
        runs=_runs(every),
    )
    write_atomic(path, lambda file: file.write(text.encode()))


def _summary(groups: Sequence[Group], columns: Sequence[str], doubles: Sequence[Result]) -> str:
    """How many runs, and what they have in common."""
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
    return ", ".join([counted(len(runs), "run"), *shared]) + again


def _curves(groups: Sequence[Group], columns: Sequence[str]) -> str:
    """Figure 3 of the paper: a chart for each number of phases."""
    charts: dict[int, list[Series]] = {}
    for group in groups:
        seen, accuracy = curve(group.runs)  # (P,), (S, P)
        points = [
            Point(x, float(column.mean()), float(column.min()), float(column.max()))
            for x, column in zip(seen, accuracy.T, strict=True)
        ]
        charts.setdefault(group.phases, []).append(Series(group.name(columns), points))
    return "".join(
        f"<figure>{chart(series, 'classes seen', 'accuracy, %', lines=True)}"
        f"<figcaption>{counted(phases, 'phase')}</figcaption></figure>"
        for phases, series in charts.items()
    )


def _by_phases(rows: Sequence[Row], columns: Sequence[str], metric: str) -> str:
    """As tables 1 and 2 of the paper: methods down, numbers of phases across."""
    counts = sorted({row.phases for row in rows}, reverse=True)
    by_name: dict[tuple[str, ...], dict[int, Row]] = {}
    for row in rows:
        name = row.method, *(row.settings[column] for column in columns)
        by_name.setdefault(name, {})[row.phases] = row
    body: list[Cells] = [
        [*name, *(_spread(found.get(count), metric) for count in counts)]
        for name, found in by_name.items()
    ]
    heads = ["method", *map(heading, columns), *(counted(count, "phase") for count in counts)]
    return html_table(heads, body)


def _spread(row: Row | None, metric: str) -> Cell:
    found = None if row is None else row.figures[metric]
    if found is None or found.mean is None:
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


def _runs(results: Sequence[Result]) -> str:
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
