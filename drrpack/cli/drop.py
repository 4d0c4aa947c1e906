"""``drrpack drop``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def drop(
    memory: Annotated[Path, typer.Argument(help="The .drr file to change.")],
    classes: Annotated[list[str], typer.Argument(help="Names of the classes that go.")],
) -> None:
    """Take classes out of a .drr file; the others stay as they are, and keep their order."""
    from drrpack.cli import screen
    from drrpack.formats.container import Reader, write
    from drrpack.formats.edit import drop as without
    from drrpack.formats.publish import changing

    screen.tidy(memory)
    with changing(memory):
        with Reader(memory) as reader:
            before = reader.memory()
        size = write(memory, without(memory, before, classes), overwrite=True)
    screen.note(f"{memory}: {len(before.classes) - len(set(classes))} classes, {size:,} bytes")
