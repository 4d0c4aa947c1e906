"""``drrpack merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places


def merge(
    memories: Annotated[
        list[Path],
        typer.Argument(
            help="The .drr files; one codec must have made them all.", parser=places.path
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .drr file to write.", parser=places.output)
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the output if it exists.")
    ] = False,
) -> None:
    """Write the classes of several .drr files into one new file."""
    from drrpack.cli import interrupts
    from drrpack.cli.telling import tell
    from drrpack.cli.terminal import note
    from drrpack.core.wording import counted
    from drrpack.operations.merge import merge as run

    interrupts.makes(output)
    made = run(memories, output, force=force, report=tell)
    note(f"{output}: {counted(made.classes, 'class')}, {made.file_bytes:,} bytes")
