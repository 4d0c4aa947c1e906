"""Parse paths and addresses on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from drrpack.formats.files.addresses import is_address, local_path, output_path


def path(text: str | Path) -> Path:
    """A path on this machine; raises OptionError for an address, which pathlib would change."""
    return local_path(text)


def output(text: str | Path) -> Path:
    """A path on this machine to write to; raises OutputError for an address."""
    return output_path(text)


def path_or_address(text: str | Path) -> str:
    """The place of a file that is only read: an address unchanged, or a path."""
    return str(text) if is_address(text) else str(Path(text))


def memories(incomplete: str) -> list[str]:
    """The ``.drr`` files that a shell may complete a word to; where there are none, the folders.

    bash completes folders itself where nothing is offered, and without a space after them.
    """
    folder, start = os.path.split(incomplete)
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:
        return []
    found = [os.path.join(folder, name) for name in names if name.startswith(start)]
    files = [path for path in found if path.endswith(".drr")]
    if files or os.environ.get("_DRRPACK_COMPLETE") == "complete_bash":
        return files
    return [os.path.join(path, "") for path in found if os.path.isdir(path)]


Memories = Annotated[
    list[str],
    typer.Argument(
        help="The .drr file, or its address; several, or a pattern such as 'mem-*.drr'.",
        autocompletion=memories,
        parser=path_or_address,
    ),
]
