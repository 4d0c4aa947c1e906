"""``drrpack stats``."""

from __future__ import annotations

from typing import Annotated

import typer

from drrpack.cli import places


def stats(
    memory: Annotated[
        str, typer.Argument(help="The .drr file, or its address.", parser=places.path_or_address)
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Account for every byte of a .drr file."""
    if json:
        _print_json(memory)
        return
    from drrpack.cli import screen

    screen.print_stats(memory)


def _print_json(memory: str) -> None:
    from json import dumps

    from drrpack.formats.account import account
    from drrpack.formats.container import Reader

    with Reader(memory) as reader:
        typer.echo(dumps(account(reader), indent=2))
