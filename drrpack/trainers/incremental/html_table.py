"""Tables of a page, which their headings sort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from drrpack.trainers.incremental.grouping import Group, heading

Cell = str | tuple[float, str]  # text, or a number and how it is shown
Cells = Sequence[Cell]  # those of a row


def html_table(headings: Sequence[str], rows: Iterable[Cells]) -> str:
    """A table whose headings sort it; numbers are sorted as such."""
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(h)}</button></th>'
        for h in headings
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    made = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{made}</div>'


def heads_of(columns: Sequence[str]) -> list[str]:
    """The first headings of a table with a row for each group; ``columns`` are settings."""
    return ["method", "phases", *map(heading, columns)]


def named(group: Group, columns: Sequence[str]) -> Cells:
    """The first cells of a group's row, below `heads_of`."""
    return [group.method, (group.phases, str(group.phases)), *group.cells(columns)]


def _cell(cell: Cell) -> str:
    if cell == "-":  # no number
        return '<td class="number">-</td>'
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    return f'<td class="number" data-value="{cell[0]!r}">{escape(cell[1])}</td>'
