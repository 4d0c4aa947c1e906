"""Draw originals and reconstructions: the work of ``drrpack preview``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drrpack.formats.container import check_output
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.files.addresses import output_path
from drrpack.formats.layout import AnyPath
from drrpack.formats.preview import picture_format, preview_grid, save_picture
from drrpack.formats.sources.source import Given
from drrpack.operations.preparing import Pathlike, Trust, at_least, pictures, trusted


@dataclass(frozen=True)
class Previewed:
    """The picture that was written, and a sentence on where its originals came from."""

    path: Path
    originals: str


def preview(
    memory: AnyPath,
    output: Pathlike,
    *,
    source: Given | None = None,
    class_names: Sequence[str] | None = None,
    rows: int = 8,
    columns: int = 8,
    force: bool = False,
    trust: Trust = False,
) -> Previewed:
    """Draw original images above their reconstructions from a ``.drr`` file.

    Args:
        memory: the path or the address of the file.
        output: the picture to write, in the format that its name ends in (.png, .jpg or .webp);
            ``force`` overwrites an existing file.
        source: the folder that holds the originals now, if it has moved, or the dataset that was
            encoded, with ``class_names`` if it does not have the file's names.
        rows, columns: how many classes to show, and how many images of each.
        trust: whether to open paths that an older file names, to look for originals; or a function
            that is called with these paths and decides.

    Raises:
        OptionError, OutputError: the picture can't be written there, or not in that format.
        SourceError: the file was not made from the given ``source``.
        FormatError: the file can't be read.
    """
    target = output_path(output)
    at_least(1, rows=rows, columns=columns)
    check_output(target, overwrite=force)
    picture_format(target)  # refused before anything is decoded
    originals = pictures(source, class_names)
    with DRRDataset(memory) as dataset:
        may = trusted(dataset.reader, originals, trust)
        grid, where = preview_grid(dataset, originals, rows, columns, trusted=may)
    save_picture(grid, target, overwrite=force)
    return Previewed(target, where)
