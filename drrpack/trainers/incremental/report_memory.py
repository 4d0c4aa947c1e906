"""What the page of a report says about memory: bytes by part, and accuracy against them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from drrpack.formats.pages.look import Cell, Cells, html_table
from drrpack.trainers.incremental.chart import Point, Series, chart
from drrpack.trainers.incremental.equal_memory import (
    BUDGET,
    BudgetCurve,
    area,
    budget_curves,
    common_range,
)
from drrpack.trainers.incremental.grouping import Group, distinct_names
from drrpack.trainers.incremental.html_table import heads_of, named
from drrpack.trainers.incremental.tables import Row

FAR = 5  # sizes that differ by more than this factor lie on a scale of factors


def memory_table(groups: Sequence[Group], columns: Sequence[str]) -> str:
    """Table 3 of the paper: what each method keeps, by part, after its last phase."""
    kept = [group.runs[0].memory_bytes for group in groups]
    parts = dict.fromkeys(name for one in kept for name in one if name != "total")
    body: list[Cells] = []
    for group, sizes in zip(groups, kept, strict=True):
        cells = [megabytes(sizes.get(name)) for name in ("total", *parts)]
        body.append([*named(group, columns), *cells])
    headings = (name.replace("_", " ") + ", MB" for name in ("total", *parts))
    return html_table([*heads_of(columns), *headings], body)


def megabytes(size: int | None) -> Cell:
    """A size in bytes as a cell of MB."""
    if size is None:
        return "-"
    return size, f"{size / 1e6:.2g}" if 0 < size < 1e5 else f"{size / 1e6:.2f}"


def against_memory(rows: Sequence[Row], groups: Sequence[Group], columns: Sequence[str]) -> str:
    """A chart with one dot for each group: what is kept, and the accuracy after the last phase."""
    series = [
        Series(name, [Point(row.memory_bytes / 1e6, last)])
        for row, name in zip(rows, distinct_names(groups, columns), strict=True)
        if (last := row.figures["last_accuracy"].mean) is not None and row.memory_bytes is not None
    ]
    if not series:
        return "<p>These results do not say what their methods keep.</p>"
    sizes = [point.x for one in series for point in one.points]
    return chart(
        series, "MB kept, all told", "accuracy after the last phase, %",
        lines=False, by_factors=0 < FAR * min(sizes) < max(sizes),
    )  # fmt: skip


def at_equal_memory(groups: Sequence[Group], columns: Sequence[str]) -> str:
    """Accuracy over the budget, and the areas below; nothing where no method has two budgets."""
    curves = budget_curves(groups)
    if not curves:
        return ""
    others = [column for column in columns if column != BUDGET]
    charts = "".join(
        f"<figure>{chart(series, 'budget, MB', label, lines=True)}</figure>"
        for label, series in (
            ("average accuracy with phase 0, %", _series(curves, others, "average")),
            ("accuracy after the last phase, %", _series(curves, others, "last")),
        )
    )
    return (
        "<h2>Accuracy at equal memory</h2><p>Each method may keep so many MB in all, networks that "
        f'it needs included.</p><div class="charts">{charts}</div>{_areas(curves, others)}'
    )


def _series(curves: Sequence[BudgetCurve], columns: Sequence[str], which: str) -> list[Series]:
    names = distinct_names([one.groups[0] for one in curves], columns)
    return [Series(name, getattr(one, which)) for name, one in zip(names, curves, strict=True)]


def _areas(curves: Sequence[BudgetCurve], columns: Sequence[str]) -> str:
    """AUC-A and AUC-L, and what they are of each MB: the mean accuracy over the budgets."""
    between = common_range(curves)
    if between is None:
        return "<p>The methods have no range of budgets in common, so no areas to compare.</p>"
    low, high = between
    body: list[Cells] = []
    for one in curves:
        areas = [area(points, low, high) for points in (one.average, one.last)]
        shown: list[Cell] = [(found, f"{found:.1f}") for found in areas]
        means: list[Cell] = [(v / (high - low), f"{v / (high - low):.2f}") for v in areas]
        body.append([*named(one.groups[0], columns), *shown, *means])
    told = (
        f"Areas below these curves from {low:g} to {high:g} MB, in percent times MB: AUC-A of the "
        "average accuracy with phase 0, AUC-L of the last (Zhou et al. 2023). Divided by "
        f"{high - low:g} MB they are mean accuracies."
    )
    heads = ["AUC-A", "AUC-L", "mean of the average with phase 0, %", "mean of the last, %"]
    return f"<p>{escape(told)}</p>{html_table([*heads_of(columns), *heads], body)}"
