"""``drrpack drop``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import Answer, figures


def drop(
    memory: Annotated[
        Path,
        typer.Argument(
            help="The .drr file to change.", autocompletion=places.memories, parser=places.path
        ),
    ],
    classes: Annotated[list[str], typer.Argument(help="Names of the classes to remove.")],
) -> Answer:
    """Remove classes from a .drr file; the other classes and their order do not change."""
    from drrpack.cli import interrupts
    from drrpack.cli.telling import tell
    from drrpack.cli.terminal import note
    from drrpack.core.wording import counted
    from drrpack.operations.drop import drop as run

    interrupts.makes(memory)
    made = run(memory, classes, report=tell)
    note(f"{memory}: {counted(made.classes, 'class')}, {made.file_bytes:,} bytes")
    return Answer(figures(made), memory)
