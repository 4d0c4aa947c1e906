"""What a command leaves for programs: ``--json`` prints figures, ``--quiet`` only the result."""

from __future__ import annotations

from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drrpack.cli.signatures import Command, declare, option

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON; what else there is to say goes to stderr.")
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print errors alone, and the path of the result or what --json asks."
    ),
]


class Answer:
    """The result of a command: what ``--json`` prints, and the paths of what it wrote."""

    def __init__(self, figures: object, *paths: Path) -> None:
        self.figures, self.paths = figures, paths


def figures(made: DataclassInstance) -> dict[str, object]:
    """What an operation returned, by the names of its fields."""
    return asdict(made)


def answering(command: Command) -> Command:
    """Give a command the options ``--quiet`` and ``--json``; it returns an `Answer`.

    A command with an option ``--json`` of its own prints its JSON itself.
    """
    own = next((name for name in ("json", "as_json") if name in command.__annotations__), None)
    added = [option("quiet", Quiet)] if own else [option("json", Json), option("quiet", Quiet)]

    @wraps(command)
    def taking(**given: object) -> None:
        from drrpack.cli import terminal

        quiet = bool(given.pop("quiet"))
        as_json = bool(given.pop("json") if own is None else given[own])
        with terminal.printing(quiet=quiet, to_stderr=as_json):
            answer = command(**given)
        if not isinstance(answer, Answer) or not terminal.speaks():
            return
        if as_json:
            print_json(answer.figures)
        elif quiet:
            for path in answer.paths:
                typer.echo(path)

    declare(taking, command, added)
    return taking


def print_json(content: object) -> None:
    """Print what programs read of a command; paths become text."""
    from json import dumps

    typer.echo(dumps(content, indent=2, default=str))
