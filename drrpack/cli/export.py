"""``drrpack export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from drrpack.cli import places
from drrpack.cli.answers import Answer, figures

if TYPE_CHECKING:
    from drrpack.operations.export import Format


def export(
    memory: Annotated[
        list[str],
        typer.Argument(
            help="The .drr file, or its address; several, or a pattern such as 'mem-*.drr', are "
            "written together.",
            autocompletion=places.memories,
            parser=places.path_or_address,
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(help="The folder to create, or a file NAME.npz.", parser=places.output),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            help="png or webp (a folder of pictures), or npz (arrays). By default npz for "
            "NAME.npz, else png."
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Export only these classes: names (cat,dog), the first N (20) or a range (50:70). "
            "name:20 means the class named 20."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> Answer:
    """Write the reconstructed images of a .drr file as an image folder or as arrays."""
    from drrpack.cli import interrupts
    from drrpack.cli.progress import Bars
    from drrpack.cli.terminal import note
    from drrpack.core.wording import counted
    from drrpack.operations.export import export as run

    interrupts.makes(output)
    kind = cast("Format | None", format)
    with Bars() as bars:
        made = run(memory, output, kind, classes=classes, device=device, report=bars)
    note(f"{counted(made.images, 'image')} of {counted(made.classes, 'class')} in {output}")
    return Answer(figures(made), output)
