"""``drrpack drop``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from drrpack.cli import places


def drop(
    memory: Annotated[Path, typer.Argument(help="The .drr file to change.", parser=places.path)],
    classes: Annotated[list[str], typer.Argument(help="Names of the classes that go.")],
) -> None:
    """Take classes out of a .drr file; the others stay as they are, and keep their order."""
    from drrpack.cli import interrupts, screen
    from drrpack.formats.container import Reader, write
    from drrpack.formats.files.publish import changing
    from drrpack.operations.edit import drop as without

    interrupts.makes(memory)
    screen.tidy(memory)
    with changing(memory):
        with Reader(memory) as reader:
            before = reader.memory()
        names = [_name(memory, before.classes, wanted) for wanted in classes]
        size = write(memory, without(memory, before, names), overwrite=True)
    screen.note(f"{memory}: {len(before.classes) - len(set(names))} classes, {size:,} bytes")


def _name(memory: Path, names: Sequence[str], wanted: str) -> str:
    """The class that is wanted, as the file spells it."""
    from drrpack.core.errors import OptionError
    from drrpack.trainers.incremental.selection import few, named_class

    number = named_class(names, wanted)
    if number is None:
        raise OptionError(f"{memory} has no class {wanted!r}; it has {len(names)}: {few(names)}")
    return names[number]
