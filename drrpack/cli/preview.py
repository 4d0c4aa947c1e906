"""``drrpack preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places


def preview(
    memory: Annotated[
        str, typer.Argument(help="The .drr file, or its address.", parser=places.path_or_address)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture to write.", parser=places.path)
    ],
    source: Annotated[
        Path | None,
        typer.Option(help="Where the originals are now, if they have moved.", parser=places.path),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Classes to show.")] = 8,
    columns: Annotated[int, typer.Option(min=1, help="Images of each class.")] = 8,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
) -> None:
    """Draw images as they were and as they come out of a .drr file."""
    from drrpack.cli import interrupts, screen
    from drrpack.formats.container import check_output
    from drrpack.formats.dataset import DRRDataset
    from drrpack.formats.preview import picture_format, preview_grid, save_picture

    interrupts.makes(output)
    check_output(output, overwrite=force)
    picture_format(output)  # refused before anything is decoded
    dataset = DRRDataset(memory)
    trusted = screen.trust(dataset.reader, source)
    grid, where = preview_grid(dataset, source, rows, columns, trusted=trusted)
    save_picture(grid, output, overwrite=force)
    screen.note(f"{output}: {where}")
