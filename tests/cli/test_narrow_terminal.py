"""What a terminal of 60 columns shows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.highlighter import NullHighlighter

from drrpack.cli import terminal
from drrpack.cli.screen import table

PATH = "/data/" + "very-long-folder/" * 6 + "result.json"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is printed on a console of 60 columns."""
    printed = io.StringIO()
    console = Console(file=printed, width=60, force_terminal=True, no_color=True, markup=False)
    console.highlighter = NullHighlighter()
    monkeypatch.setattr(terminal, "console", console)
    return printed


def test_lines_end_between_words(screen: io.StringIO) -> None:
    said = "19.0 bytes an image, 564.5 with models and container; 1.4 times smaller than raw pixels"
    terminal.note(f"{said}\n\n{said}")
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines) == f"{said}  {said}"


def test_a_path_stays_whole(screen: io.StringIO) -> None:
    terminal.note(f"result: {PATH} and words after it")
    assert screen.getvalue().splitlines() == [f"result: {PATH}", "and words after it"]


def test_a_wide_table_keeps_its_words(screen: io.StringIO) -> None:
    names = "method", "phases", "average", "with base", "last", "forgetting", "memory MB"
    made = table("Summary", *names)
    made.add_row("ib-drr-star", "10", "14.29", "16.02", "14.29", "2.05", "153.60")
    terminal.show_table(made)
    shown = screen.getvalue()
    assert max(map(len, shown.splitlines())) <= 60 + len("\x1b[1m\x1b[0m") * len(names)
    for word in ("ib-drr-star", *" ".join(names).split()):
        assert word in shown


def test_a_table_that_fits_keeps_its_edges(screen: io.StringIO) -> None:
    made = table("Every byte", "part", "bytes")
    made.add_row("payload", "27,220")
    terminal.show_table(made)
    assert "│ payload │ 27,220 │" in screen.getvalue()
