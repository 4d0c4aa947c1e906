"""The options that say how a source is read; all commands that read pictures share them."""

from __future__ import annotations

from typing import Annotated

import typer

Size = Annotated[int | None, typer.Option(help="Resize every image to SIZE x SIZE pixels.")]
Depth = Annotated[
    int | None,
    typer.Option(
        help="Bit depth of greyscale pictures with more than 8 bits: white is 2^DEPTH - 1."
    ),
]
ValueRange = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--range",
        metavar="BLACK WHITE",
        help="Alternative to --depth: the pixel values of black and of white.",
    ),
]
MaxMegapixels = Annotated[
    float | None,
    typer.Option(
        help="Refuse pictures of more megapixels than this, as possible decompression bombs; 89 "
        "by default."
    ),
]
ClassesFrom = Annotated[
    str | None,
    typer.Option(
        metavar="top|parent",
        help="Of folders in folders, take the first folder as the class (top), or the folder that "
        "holds the picture (parent).",
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(help="The column with the pictures; in a tar the ending of their names."),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="The column with the classes; in a tar the ending of the members that hold them, or "
        "the key in the .json members."
    ),
]
