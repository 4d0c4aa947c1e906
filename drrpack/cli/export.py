"""``drrpack export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places


def export(
    memory: Annotated[
        str, typer.Argument(help="The .drr file, or its address.", parser=places.path_or_address)
    ],
    output: Annotated[
        Path, typer.Argument(help="The folder to make, or a file NAME.npz.", parser=places.path)
    ],
    format: Annotated[
        str | None, typer.Option(help="png or webp: a folder of pictures; npz: arrays.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Some classes alone: names (cat,dog), the first 20, 50:70; name:20 is a name."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Write the reconstructions of a .drr file as an image folder or as arrays."""
    from drrpack.cli import interrupts, screen
    from drrpack.cli.progress import Bars
    from drrpack.formats.container import Reader
    from drrpack.formats.dataset import DRRDataset
    from drrpack.operations.export import check_place
    from drrpack.operations.export import export as run

    interrupts.makes(output)
    place = screen.choose_device(device)
    kind = format or ("npz" if output.suffix == ".npz" else "png")
    check_place(output, kind)
    screen.tidy(output)
    with Reader(memory) as reader:
        chosen = screen.choose_classes(reader.classes, classes)
    dataset = DRRDataset(memory, classes=chosen, device=place, cache_bytes=0)
    with Bars() as bars:
        run(dataset, output, kind, lambda done, total: bars.count("images", done, total))
    screen.note(f"{len(dataset)} images of {len(dataset.classes)} classes in {output}")
