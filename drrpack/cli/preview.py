"""``drrpack preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places
from drrpack.cli.answers import Answer, figures


def preview(
    memory: Annotated[
        str,
        typer.Argument(
            help="The .drr file, or its address.",
            autocompletion=places.memories,
            parser=places.path_or_address,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture to write.", parser=places.output)
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            help="The folder that holds the original images now, if it has moved.",
            parser=places.path,
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 8,
    columns: Annotated[int, typer.Option(min=1, help="How many images of each to show.")] = 8,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the output if it exists.")
    ] = False,
) -> Answer:
    """Draw original images above their reconstructions from a .drr file."""
    from drrpack.cli import interrupts, screen
    from drrpack.operations.preview import preview as run

    interrupts.makes(output)
    made = run(
        memory, output, source=source, rows=rows, columns=columns, force=force,
        trust=screen.ask_to_trust(memory),
    )  # fmt: skip
    screen.note(f"{output}: {made.originals}")
    return Answer(figures(made), output)
