"""The options that say how a source is read; all commands that read pictures share them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import TYPE_CHECKING, Annotated, TypedDict, get_args, get_type_hints

import typer

from drrpack.cli.signatures import Command, declare, option

if TYPE_CHECKING:
    from drrpack.formats.sources.labelling import ClassesFrom
else:
    ClassesFrom = str  # what typer parses; the operation checks which texts they are


class PictureOptions(TypedDict):
    """What the user says of the pictures, as arguments of the operation."""

    size: Annotated[int | None, typer.Option(help="Resize every image to SIZE x SIZE pixels.")]
    depth: Annotated[
        int | None,
        typer.Option(
            help="Bit depth of greyscale pictures with more than 8 bits: white is 2^DEPTH - 1."
        ),
    ]
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--range",
            metavar="BLACK WHITE",
            help="Alternative to --depth: the pixel values of black and of white.",
        ),
    ]
    max_megapixels: Annotated[
        float | None,
        typer.Option(
            help="Refuse pictures of more megapixels than this, as possible decompression bombs; "
            "89 by default."
        ),
    ]
    classes_from: Annotated[
        ClassesFrom | None,
        typer.Option(
            metavar="top|parent",
            help="Of folders in folders, take the first folder as the class (top), or the folder "
            "that holds the picture (parent).",
        ),
    ]
    image_column: Annotated[
        str | None,
        typer.Option(help="The column with the pictures; in a tar the ending of their names."),
    ]
    label_column: Annotated[
        str | None,
        typer.Option(
            help="The column with the classes; in a tar the ending of the members that hold them, "
            "or the key in the .json members."
        ),
    ]
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out pictures that can't be read.")
    ]


def reads_pictures(panel: str) -> Callable[[Command], Command]:
    """Give a command these options in the place of its argument ``pictures``.

    Args:
        panel: the heading above them in the command's help.
    """
    group = []
    for name, hint in get_type_hints(PictureOptions, include_extras=True).items():
        kind, said = get_args(hint)
        shown = copy(said)
        shown.rich_help_panel = panel
        group.append(option(name, Annotated[kind, shown]))

    def decorated(command: Command) -> Command:
        @wraps(command)
        def taking(**given: object) -> object:
            pictures = {one.name: given.pop(one.name) for one in group}
            return command(**given, pictures=pictures)

        declare(taking, command, group, instead_of="pictures")
        return taking

    return decorated
