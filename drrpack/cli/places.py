"""Parse paths and addresses on the command line."""

from __future__ import annotations

from pathlib import Path

from drrpack.core.errors import OptionError
from drrpack.formats.files.addresses import is_address, shown
from drrpack.formats.files.places import output_path


def path(text: str | Path) -> Path:
    """A path on this machine; raises OptionError for an address, which pathlib would change."""
    if is_address(text):
        raise OptionError(
            f"{shown(str(text))}: found an address, expected a path: download the file "
            "first; stats, verify, preview, export and train read a .drr file at its address"
        )
    return Path(text)


def output(text: str | Path) -> Path:
    """A path on this machine to write to; raises OutputError for an address."""
    return output_path(text)


def path_or_address(text: str | Path) -> str:
    """The place of a file that is only read: an address unchanged, or a path."""
    return str(text) if is_address(text) else str(Path(text))
