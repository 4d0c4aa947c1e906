"""``drrpack merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places


def merge(
    memories: Annotated[
        list[Path], typer.Argument(help="The .drr files, made by one codec.", parser=places.path)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .drr file to write.", parser=places.path)
    ],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
) -> None:
    """Put the classes of several .drr files into one."""
    from contextlib import ExitStack

    from drrpack.cli import interrupts, screen
    from drrpack.formats.container import Reader, check_output, write
    from drrpack.formats.files.publish import replacing
    from drrpack.operations.edit import merge as merged
    from drrpack.operations.recode import in_one_layout

    interrupts.makes(output)
    check_output(output, overwrite=force)
    screen.tidy(output)
    with replacing(output), ExitStack() as stack:
        readers = [stack.enter_context(Reader(path)) for path in dict.fromkeys(memories)]
        contents = in_one_layout(readers, screen.choose_device("cpu"))
        together = merged(dict(zip(dict.fromkeys(memories), contents, strict=True)))
        size = write(output, together, overwrite=force)
    screen.note(f"{output}: {len(together.classes)} classes, {size:,} bytes")
