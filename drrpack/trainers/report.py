"""Runs as one page: curves, the paper's tables, accuracy against memory, pictures.

The page holds all it shows: it loads nothing and sends nothing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from drrpack.errors import OptionError, SourceError
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.preview import preview_grid
from drrpack.formats.publish import write_atomic
from drrpack.trainers.chart import Point, Series, chart
from drrpack.trainers.results import Result, curve, grouped, read_result, table
from drrpack.trainers.rundir import RESULT

Row = Sequence[str | tuple[float, str]]  # a cell is text, or a number and how it is shown


def find_results(places: Iterable[Path]) -> list[Result]:
    """The results in folders, theirs included, or named themselves; each once.

    Raises SourceError where there is none.
    """
    found: dict[Path, Result] = {}
    for place in places:
        paths = sorted(place.rglob(RESULT)) if place.is_dir() else [place]
        if not paths:
            raise SourceError(f"{place} holds no {RESULT}; give folders of `drrpack train --out`")
        for path in paths:
            found[path.resolve()] = read_result(path)
    return list(found.values())


def write_report(results: Sequence[Result], path: Path, memory: Path | None = None) -> None:
    """Write the page for ``results``, with pictures from the file ``memory`` where one is given.

    A run that is not complete yet stands in the list of runs and nowhere else.

    Raises OptionError for results that may not share a table, OutputError, and what reading
    ``memory`` raises.
    """
    page = Template(files("drrpack.trainers").joinpath("report.html").read_text("utf-8"))
    every, results = results, [result for result in results if result["complete"]]
    if not results:
        raise OptionError("none of these runs is complete yet; go on with `drrpack train --resume`")
    rows = table(results)
    text = page.substitute(
        summary=escape(_summary(results)),
        curves=_curves(results),
        averages=_by_phases(rows, "average_accuracy"),
        lasts=_by_phases(rows, "last_accuracy"),
        memories=_memory_table(results),
        against=_against_memory(rows),
        classes=_class_changes(results),
        codec_views=_codec_views(results),
        pictures="" if memory is None else _pictures(memory),
        runs=_runs(every),
    )
    write_atomic(path, lambda file: file.write(text.encode()))


def _summary(results: Sequence[Result]) -> str:
    first = results[0]
    classes, seeds = len(first["class_order"]), len({result["seed"] for result in results})
    return (
        f"{len(results)} runs, {classes} classes, base {first['config']['base']}, recipe "
        f"{first['recipe']} ({first['epochs']} epochs, width {first['width']}), {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'}, {first['device']}"
    )


def _curves(results: Sequence[Result]) -> str:
    """Figure 3 of the paper: a chart for each number of phases."""
    charts: dict[int, list[Series]] = {}
    for (method, phases), runs in grouped(results).items():
        seen, accuracy = curve(runs)  # (P,), (S, P)
        points = [
            Point(x, float(column.mean()), float(column.min()), float(column.max()))
            for x, column in zip(seen, accuracy.T, strict=True)
        ]
        charts.setdefault(phases, []).append(Series(method, points))
    return "".join(
        f"<figure>{chart(series, 'classes seen', 'accuracy, %', lines=True)}"
        f"<figcaption>{phases} phases</figcaption></figure>"
        for phases, series in charts.items()
    )


def _by_phases(rows: Sequence[dict[str, Any]], metric: str) -> str:
    """Tables 1 and 2 of the paper: methods down, numbers of phases across."""
    counts = sorted({row["phases"] for row in rows}, reverse=True)
    cells = {(row["method"], row["phases"]): row for row in rows}
    body: list[Row] = []
    for method in dict.fromkeys(row["method"] for row in rows):
        found = [cells.get((method, count)) for count in counts]
        body.append([method, *(_spread(row, metric) for row in found)])
    return _table(["method", *(f"{count} phases" for count in counts)], body)


def _spread(row: dict[str, Any] | None, metric: str) -> str | tuple[float, str]:
    if row is None or row[metric] is None:
        return "-"
    deviation = row[f"{metric}_std"]
    shown = f"{row[metric]:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")
    return row[metric], shown


def _memory_table(results: Sequence[Result]) -> str:
    """Table 3 of the paper: what each method keeps, by part, after its last phase."""
    parts = {name: None for r in results for name in r["memory_bytes"] if name != "total"}
    body: list[Row] = []
    for (method, phases), runs in grouped(results).items():
        kept = runs[0]["memory_bytes"]
        cells = [_megabytes(kept[name]) if name in kept else "-" for name in (*parts, "total")]
        body.append([method, (phases, str(phases)), *cells])
    headings = (name.replace("_", " ") + ", MB" for name in (*parts, "total"))
    return _table(["method", "phases", *headings], body)


def _megabytes(size: int) -> tuple[float, str]:
    return size, f"{size / 1e6:.2f}"


def _against_memory(rows: Sequence[dict[str, Any]]) -> str:
    series = [
        Series(
            f"{row['method']}, {row['phases']} phases",
            [Point(row["memory_bytes"] / 1e6, row["last_accuracy"])],
        )
        for row in rows
    ]
    return chart(series, "MB kept, all told", "accuracy after the last phase, %", lines=False)


def _class_changes(results: Sequence[Result]) -> str:
    """Each class when it was new, and after the last phase; the mean over seeds."""
    tables = []
    for (method, phases), runs in grouped(results).items():
        changes: dict[str, list[tuple[float, float]]] = {}
        for result in runs:
            names = result["config"]["classes"]
            last = result["phases"][-1]["class_accuracy"]
            for place, number in enumerate(result["class_order"]):
                first = next(p for p in result["phases"] if len(p["class_accuracy"]) > place)
                pair = first["class_accuracy"][place], last[place]
                changes.setdefault(names[number], []).append(pair)
        body: list[Row] = []
        for name, pairs in changes.items():
            new, end = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
            body.append(
                [name, *((v, f"{v:.1f}") for v in (new, end)), (end - new, f"{end - new:+.1f}")]
            )
        made = _table(["class", "when new, %", "at the end, %", "change"], body)
        title = f"{escape(method)}, {phases} phases"
        tables.append(f"<details><summary>{title}</summary>{made}</details>")
    return "".join(tables)


def _codec_views(results: Sequence[Result]) -> str:
    chosen = [result for result in results if "through_codec" in result]
    if not chosen:
        return ""
    body: list[Row] = []
    for (method, phases), runs in grouped(chosen).items():
        raw = sum(run["last_accuracy"] for run in runs) / len(runs)
        seen = sum(run["through_codec"]["last_accuracy"] for run in runs) / len(runs)
        body.append([method, (phases, str(phases)), *((v, f"{v:.2f}") for v in (raw, seen))])
    made = _table(["method", "phases", "raw test images, %", "through the codec, %"], body)
    return f"<h2>Test images that went through the codec</h2>{made}"


def _pictures(memory: Path) -> str:
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
    body: list[Row] = [
        [
            result["method"],
            (result["config"]["phases"], str(result["config"]["phases"])),
            (result["seed"], str(result["seed"])),
            (result["last_accuracy"], f"{result['last_accuracy']:.2f}"),
            (result["wall_seconds"], f"{result['wall_seconds'] / 60:.1f}"),
            "yes" if result["complete"] else "no",
            result["config"]["data"][:12],
            ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        ]
        for result in results
    ]
    headings = ["method", "phases", "seed", "last, %", "minutes", "complete", "data", "versions"]
    return _table(headings, body)


def _table(headings: Sequence[str], rows: Iterable[Row]) -> str:
    """A table whose headings sort it; numbers are sorted as such."""
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(h)}</button></th>'
        for h in headings
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    made = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{made}</div>'


def _cell(cell: str | tuple[float, str]) -> str:
    if cell == "-":  # no number
        return '<td class="number">-</td>'
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    return f'<td class="number" data-value="{cell[0]!r}">{escape(cell[1])}</td>'
