"""The two streams that commands print on: their encoding, colours and width."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions
from rich.measure import Measurement
from rich.table import Table

from drrpack.cli.escape import harmless
from drrpack.cli.spelling import spelled

_NO_LIMIT = 10_000  # columns: wider than any table, and no more than rich lays out at once


class _Stream(Console):
    """A console that prints text as it is, and cuts nothing where no screen has edges.

    rich obeys NO_COLOR, FORCE_COLOR and TERM=dumb, and colours nothing but a terminal.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    @property
    def size(self) -> ConsoleDimensions:
        """The terminal's; FORCE_COLOR makes no terminal of a file."""
        found = super().size
        try:
            is_screen = self.file.isatty()
        except ValueError:  # it is closed
            is_screen = False
        return found if is_screen else ConsoleDimensions(_NO_LIMIT, found.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


console = _Stream()
errors = _Stream(stderr=True)


@contextmanager
def printing(*, quiet: bool, to_stderr: bool) -> Iterator[None]:
    """How a command prints: with ``quiet`` nothing but errors, with ``to_stderr`` what is meant for
    people on the error stream, so that stdout has nothing but JSON."""
    console.quiet, console.stderr = quiet or not speaks(), to_stderr
    try:
        yield
    finally:
        console.quiet, console.stderr = False, False


def speaks() -> bool:
    """Whether this process prints: of several that torchrun has started, the first one does.

    Errors are printed by the process that has them.
    """
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def draws(stream: Console) -> bool:
    """Whether a stream is a terminal on which bars can be drawn over."""
    return stream.is_terminal and not stream.is_dumb_terminal


def make_printable() -> None:
    """Make both streams write characters that their encoding lacks as escapes.

    So a class name or a path can't make a command fail after its work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def shown(text: str, plain: str) -> str:
    """``text``, or ``plain`` if the output can't encode it; an escape would widen a column."""
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        return plain
    return text


def show_cursor() -> None:
    """Show the cursor that progress bars hide; without rich, whose locks may be held."""
    if draws(console):
        os.write(sys.stdout.fileno(), b"\n\x1b[?25h")
    elif draws(errors):
        os.write(sys.stderr.fileno(), b"\n\x1b[?25h")


def note(text: str) -> None:
    """Print a line."""
    _print(console, text)


def warn(text: str) -> None:
    """Print a warning on the error stream."""
    if not console.quiet:
        _print(errors, f"warning: {text}", "yellow")


def fail(text: str) -> None:
    """Print why the command failed, on the error stream."""
    _print(errors, f"error: {text}", "red")


def _print(stream: Console, text: str, style: str | None = None) -> None:
    """Print a text whose lines end between words; a path that is longer than a line stays whole."""
    lines = harmless(spelled(text)).split("\n")
    broken = chain.from_iterable(_between_words(line, stream.width) for line in lines)
    stream.print("\n".join(broken), style=style, soft_wrap=True)


def _between_words(line: str, width: int) -> list[str]:
    """A line as several of at most ``width`` columns; a longer word stays where it is, and the
    terminal breaks it."""
    lines: list[str] = []
    for word in line.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if not lines or cell_len(longer) <= width or cell_len(word) > width:
            lines[-1:] = [longer]
        else:
            lines.append(word)
    return lines


def show_table(table: Table) -> None:
    """Print a table; where the terminal is too narrow for it, without blanks and edges, and with
    the words of its headings one below the other."""
    unlimited = console.options.update(max_width=_NO_LIMIT)
    if Measurement.get(console, unlimited, table).maximum > console.width:
        table.padding, table.show_edge = (0, 0), False
        for column in table.columns:
            column.header = str(column.header).replace(" ", "\n")
    console.print(table)
