"""The options that say how pictures become pixels, alike in all commands that read some."""

from __future__ import annotations

from typing import Annotated

import typer

Size = Annotated[int | None, typer.Option(help="Resize every image to SIZE x SIZE.")]
Depth = Annotated[
    int | None, typer.Option(help="Grey pictures of more than 8 bits hold integers of N bits.")
]
ValueRange = Annotated[
    tuple[float, float] | None,
    typer.Option("--range", metavar="BLACK WHITE", help="Or: the values of black and of white."),
]
MaxMegapixels = Annotated[
    float | None, typer.Option(help="Read pictures of up to so many megapixels; 89 by default.")
]
