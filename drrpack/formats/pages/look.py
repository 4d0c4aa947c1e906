"""What all HTML pages of drrpack share: colours and type, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

Cell = str | tuple[float, str]  # text, or a number and how it is shown
Cells = Sequence[Cell]  # those of a row


def style() -> str:
    """The style sheet: colours for light and dark screens, type, tables and what has the focus."""
    return files("drrpack.formats.pages").joinpath("style.css").read_text("utf-8")


def visible(text: str) -> str:
    """Text of a file as HTML: escaped, and what can't be seen, such as a newline, as Python has it.

    Its direction of writing does not reach what stands around it.
    """
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return f"<bdi>{escape(shown if shown.strip() else repr(text))}</bdi>"


def html_table(headings: Sequence[str], rows: Iterable[Cells]) -> str:
    """A table whose headings are buttons that a script of the page sorts by; see `plain_table`."""
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(h)}</button></th>'
        for h in headings
    )
    return _table(head, rows)


def plain_table(headings: Sequence[str], rows: Iterable[Cells]) -> str:
    """A table that stays in its order; text is escaped, and numbers stand on the right."""
    return _table("".join(f'<th scope="col">{escape(h)}</th>' for h in headings), rows)


def _table(head: str, rows: Iterable[Cells]) -> str:
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    made = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{made}</div>'


def _cell(cell: Cell) -> str:
    if cell == "-":  # no number
        return '<td class="number">-</td>'
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    return f'<td class="number" data-value="{cell[0]!r}">{escape(cell[1])}</td>'
