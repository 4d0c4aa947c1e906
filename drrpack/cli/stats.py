"""``drrpack stats``."""

from __future__ import annotations

from typing import Annotated

import typer

from drrpack.cli import places


def stats(
    memory: Annotated[
        str,
        typer.Argument(
            help="The .drr file, or its address.",
            autocompletion=places.memories,
            parser=places.path_or_address,
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show where the bytes of a .drr file go, its bits per code and its PSNR."""
    from drrpack.operations.stats import stats as run

    found = run(memory)
    if json:
        from json import dumps

        typer.echo(dumps(found.to_json(), indent=2))
        return
    from drrpack.cli import screen

    screen.print_stats(found)
