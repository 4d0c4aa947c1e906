"""``drrpack merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import Answer, figures


def merge(
    memories: Annotated[
        list[Path],
        typer.Argument(
            help="The .drr files, or a pattern such as 'mem-*.drr'; one codec must have made all.",
            autocompletion=places.memories,
            parser=places.path,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .drr file to write.", parser=places.output)
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the output if it exists.")
    ] = False,
) -> Answer:
    """Write the classes of several .drr files into one new file."""
    from drrpack.cli import interrupts
    from drrpack.cli.telling import tell
    from drrpack.cli.terminal import note
    from drrpack.core.wording import counted
    from drrpack.operations.merge import merge as run

    interrupts.makes(output)
    made = run(memories, output, force=force, report=tell)
    note(f"{output}: {counted(made.classes, 'class')}, {made.file_bytes:,} bytes")
    return Answer(figures(made), output)
