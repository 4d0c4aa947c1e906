"""``drrpack doctor``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from drrpack.cli.answers import print_json


def doctor(
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Check this installation: versions, device, codecs, and a memory written and read back.

    The exit code is 1 if something is wrong.
    """
    from drrpack.operations.doctor import doctor as run

    found = run(device=device)
    if json:
        print_json(found.to_json())
    else:
        from drrpack.cli import screen

        screen.print_diagnosis(found)
    if not found.sound:
        sys.exit(1)
