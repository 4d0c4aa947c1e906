"""``drrpack view``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import print_json


def view(
    memory: Annotated[
        str, typer.Argument(help="The .drr file, or its address.", parser=places.path_or_address)
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            help="The folder that holds the original images, to show them beside.",
            parser=places.path,
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The port of the page; 0 for any free one.")] = 8765,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    json: Annotated[
        bool, typer.Option("--json", help="Print the page's address as JSON once it is there.")
    ] = False,
) -> None:
    """Browse classes, images and codes of a .drr file on a page of this machine."""
    from drrpack.cli import interrupts, screen
    from drrpack.cli.telling import tell
    from drrpack.cli.terminal import console
    from drrpack.operations.view import view as run

    with run(memory, source=source, port=port, report=tell) as page:
        interrupts.serves("" if console.quiet else "stopped")
        if json:
            print_json({"address": page.address})
        else:
            screen.note(f"{memory}: {page.address} (Ctrl-C ends it)")
        if browser and _has_screen():
            import webbrowser

            webbrowser.open(page.address)
        page.wait()


def _has_screen() -> bool:
    """Whether a browser could open a window; without one, Python may start one in the terminal."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform == "darwin" or any(os.environ.get(name) for name in names)
