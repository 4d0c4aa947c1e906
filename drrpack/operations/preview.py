"""A picture of originals and reconstructions: what ``drrpack preview`` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drrpack.core.errors import OptionError
from drrpack.formats.container import check_output
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.layout import AnyPath
from drrpack.formats.preview import picture_format, preview_grid, save_picture
from drrpack.operations.preparing import Pathlike, Trust, trusted


@dataclass(frozen=True)
class Previewed:
    """The picture that was written, and where the originals in it came from, in words."""

    path: Path
    originals: str


def preview(
    memory: AnyPath,
    output: Pathlike,
    *,
    source: Pathlike | None = None,
    rows: int = 8,
    columns: int = 8,
    force: bool = False,
    trust: Trust = False,
) -> Previewed:
    """Draw images as they were and as they come out of a ``.drr`` file.

    Args:
        memory: the path or the address of the file.
        output: the picture to write, in the format that its name ends in (.png, .jpg or .webp);
            ``force`` overwrites one that is there.
        source: where the originals are now, if they have moved.
        rows, columns: how many classes to show, and how many images of each.
        trust: whether paths that an early file itself names may be opened to look for originals; a
            function is called with these paths, and answers.

    Raises:
        OptionError, OutputError: the picture can't be written there, or not in that format.
        SourceError: ``source`` is given and is not what the file was made from.
        FormatError: the file can't be read.
    """
    target = Path(output)
    for name, count in (("rows", rows), ("columns", columns)):
        if count < 1:
            raise OptionError(f"`{name}={count}`: say 1 or more", option=name)
    check_output(target, overwrite=force)
    picture_format(target)  # refused before anything is decoded
    dataset, place = DRRDataset(memory), None if source is None else Path(source)
    may = trusted(dataset.reader, place, trust)
    grid, where = preview_grid(dataset, place, rows, columns, trusted=may)
    save_picture(grid, target, overwrite=force)
    return Previewed(target, where)
