"""``drrpack stats``."""

from __future__ import annotations

from typing import Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import print_json


def stats(
    memory: places.Memories,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON instead of tables; of several files a list."),
    ] = False,
) -> None:
    """Show where the bytes of a .drr file go, its bits per code and its PSNR."""
    from drrpack.operations.stats import stats as run

    found = run(memory)
    if json:
        several = [{"path": one.path, **one.to_json()} for one in found]
        print_json(several if len(found) > 1 else found[0].to_json())
        return
    from drrpack.cli import screen

    for one in found:
        screen.print_stats(one)
