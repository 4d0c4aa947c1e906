"""A picture of reconstructions, with the originals above them if they can be found."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from drrpack.core.arrays import Pixels
from drrpack.core.errors import OptionError, OutputError, SourceError
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.files.publish import publish
from drrpack.formats.fonts import Font, drawable
from drrpack.formats.originals import Originals, open_originals
from drrpack.formats.sources.opening import Given

LABEL_WIDTH = 130
GAP = 4
CELL_SIDE = 72  # small images are enlarged by a whole factor up to about this
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}  # by a name's end
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # in pixels; that of PNG is 2^31 - 1


def preview_grid(
    dataset: DRRDataset,
    source: Given | None = None,
    rows: int = 8,
    columns: int = 8,
    *,
    trusted: bool = False,
) -> tuple[Image.Image, str]:
    """A grid with a row for each of some classes, and a note on where the originals came from.

    Each row shows ``columns`` images: above as they were, below as reconstructed; where the
    source is not at hand only the reconstructions. ``trusted`` as in `open_originals`.

    Raises:
        SourceError: ``source`` is given and is not the folder that was encoded.
    """
    originals, note = _originals(dataset, source, trusted)
    filled = np.unique(dataset.targets)  # a class may have no images
    labels = [int(filled[i]) for i in _spread(len(filled), rows)]
    picked = [_spread(dataset.targets.count(label), columns) for label in labels]
    starts = [dataset.targets.index(label) for label in labels]
    items = [start + i for start, some in zip(starts, picked, strict=True) for i in some]
    decoded = dataset.pixels(items)  # all at once: classes decode side by side
    strips = []
    for label, some in zip(labels, picked, strict=True):
        name, lines = dataset.classes[label], [_row(decoded[: len(some)])]
        decoded = decoded[len(some) :]
        if originals is not None:
            lines.insert(0, _row(originals.load(name)[some]))
        strips.append(_strip(drawable(name, label, LABEL_WIDTH - 2 * GAP), lines))
    height = sum(s.height for s in strips) + GAP * (len(strips) + 1)
    grid = Image.new("RGB", (max((s.width for s in strips), default=0) + GAP, height), "white")
    y = GAP
    for strip in strips:
        grid.paste(strip, (0, y))
        y += strip.height + GAP
    return grid, note


def save_picture(picture: Image.Image, path: Path, *, overwrite: bool = False) -> None:
    """Write a picture in the format that its name ends in, whole or not at all.

    Raises:
        OptionError: another format, or one that can't hold so large a picture.
        OutputError: it can't be written; what was at ``path`` stays.
    """
    data = _encoded(picture, path)
    publish(
        path, lambda file: file.write(data), lambda _: None,
        need_bytes=len(data), overwrite=overwrite,
    )  # fmt: skip


def _encoded(picture: Image.Image, path: Path) -> bytes:
    """The file; made in memory, so that trouble with a disk can't be one with the format."""
    format = picture_format(path)
    longest = _LONGEST_SIDE.get(format)
    if longest is not None and max(picture.size) > longest:
        raise OptionError(
            "{}: the picture has {}x{} pixels, and a side of a {} file has {} at most; ask for "
            "fewer `rows` or `columns`, or end the name in .png".format(
                path, *picture.size, format, longest
            )
        )
    file = io.BytesIO()
    try:
        picture.save(file, format)
    except (OSError, ValueError) as error:  # Pillow raises both where an encoder gives up
        raise OutputError(f"{path}: can't be made: {error}; end the name in .png") from error
    return file.getvalue()


def picture_format(path: Path) -> str:
    """Pillow's name of the format that a picture's name ends in; raises OptionError."""
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"{path}: end the picture's name in .png, .jpg or .webp")
    return FORMATS[path.suffix.lower()]


def _originals(
    dataset: DRRDataset, source: Given | None, trusted: bool
) -> tuple[Originals | None, str]:
    try:
        found = open_originals(
            dataset.reader, source, "train", classes=dataset.classes, trusted=trusted
        )
    except SourceError as error:
        if source is not None:
            raise
        return None, f"reconstructions only: {error}"
    return found, f"originals (above) from {found.roots}, reconstructions below"


def _strip(label: tuple[str, Font], lines: list[Image.Image]) -> Image.Image:
    """One class: its name, then lines of images."""
    name, font = label
    width = LABEL_WIDTH + max(line.width for line in lines)
    strip = Image.new("RGB", (width, sum(line.height for line in lines)), "white")
    ImageDraw.Draw(strip).text((GAP, GAP), name, fill="black", font=font)
    y = 0
    for line in lines:
        strip.paste(line, (LABEL_WIDTH, y))
        y += line.height
    return strip


def _row(images: Pixels) -> Image.Image:
    """Images (n, H, W, 3) side by side, enlarged."""
    factor = max(1, CELL_SIDE // max(images.shape[1:3]))
    large = images.repeat(factor, 1).repeat(factor, 2)
    framed = np.pad(large, ((0, 0), (0, 2), (0, 2), (0, 0)), constant_values=255)
    return Image.fromarray(np.concatenate(list(framed), axis=1))


def _spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` numbers below ``count``, evenly spaced."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, wanted))})
