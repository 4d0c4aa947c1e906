"""Raw exemplars: some images of a class, stored without loss as one tall picture.

One lossless WebP of all images of a record, one above the other, takes 6 % less than a file for
each image (1763 instead of 1869 bytes for an image of 32x32; PNG takes 2455).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drrpack.core.arrays import Pixels
from drrpack.core.errors import CorruptError, VersionError
from drrpack.core.section import major_of
from drrpack.formats.container import Reader
from drrpack.formats.layout import RAW_VERSION, RawRecord, check_expansion

MAX_SIDE = 16383  # pixels of a WebP
# libwebp's "quality" where nothing is lost. 100 tries every transform on every block, which takes
# 28 times as long at 32x32 and 10 times at 224x224, for files that differ by 0.1 %, either way.
EFFORT = 99


@dataclass(frozen=True)
class RawImages:
    """Raw exemplars of one class: their positions in the class, (n,), and pixels (n, H, W, 3)."""

    positions: NDArray[np.int64]
    images: Pixels

    @property
    def nbytes(self) -> int:
        """What the pixels take in memory."""
        return self.images.nbytes


def pack(class_index: int, positions: Sequence[int], images: Pixels) -> list[RawRecord]:
    """Records of some images (n, H, W, 3) of a class, which stand at ``positions`` in it."""
    each = max(1, MAX_SIDE // images.shape[1])  # images in one picture
    order = np.argsort(np.asarray(positions, dtype=np.int64))
    return [
        _pack_record(class_index, np.asarray(positions)[part], images[part])
        for part in np.split(order, range(each, len(order), each))
        if len(part)
    ]


def _pack_record(class_index: int, positions: NDArray[np.int64], images: Pixels) -> RawRecord:
    count, height, width, _ = images.shape
    picture = io.BytesIO()
    tall = Image.fromarray(images.reshape(count * height, width, 3))
    if max(tall.size) <= MAX_SIDE:
        tall.save(picture, "WEBP", lossless=True, quality=EFFORT, method=6)
    else:  # an image that no WebP can hold
        tall.save(picture, "PNG", optimize=True)
    return RawRecord(class_index, count, positions.astype("<u4").tobytes() + picture.getvalue())


def read_raw(reader: Reader, class_index: int) -> RawImages:
    """The raw exemplars of one class, in the order of their positions; there may be none.

    Raises:
        CorruptError: a record is damaged. VersionError: its version is unknown.
    """
    version = reader.raw_version
    if version is not None and major_of(version) != major_of(RAW_VERSION):
        raise VersionError(
            f"{reader.path}: its raw images have version {version}, this program reads "
            f"{RAW_VERSION}; update drrpack"
        )
    rows = np.flatnonzero(reader.raw_index["class"] == class_index)
    if not len(rows):
        return RawImages(np.zeros(0, np.int64), np.zeros((0, *reader.image_size, 3), np.uint8))
    parts = list(_records(reader, class_index, rows))
    positions = np.concatenate([part.positions for part in parts])
    images = np.concatenate([part.images for part in parts])
    limit = int(reader.images_per_class[class_index])
    if (np.diff(positions) <= 0).any() or (positions >= limit).any():
        raise CorruptError(
            f"{reader.path}: raw images of class {reader.classes[class_index]} stand at positions "
            f"that do not rise or lie beyond its {limit} images; take the file from a backup"
        )
    return RawImages(positions, images)


def _records(reader: Reader, class_index: int, rows: NDArray[np.intp]) -> Iterator[RawImages]:
    packed, images = (
        int(reader.raw_index[rows][k].sum(dtype=np.int64)) for k in ("bytes", "images")
    )
    unpacked = images * reader.image_size[0] * reader.image_size[1] * 3
    check_expansion(reader.path, f"raw images of class {class_index}", packed, unpacked)
    for row, data in zip(rows, reader.raw_records([*map(int, rows)]), strict=True):
        count = int(reader.raw_index["images"][row])
        try:
            yield _unpack_record(data, count, reader.image_size)
        except MemoryError:
            raise  # says nothing about the file
        except Exception as error:  # Pillow's plug-ins raise nearly every built-in exception
            name = reader.classes[class_index]
            raise CorruptError(
                f"{reader.path}: the raw images of class {name} can't be read ({error}); "
                "take the file from a backup"
            ) from error


def _unpack_record(data: bytes, count: int, size: tuple[int, int]) -> RawImages:
    height, width = size
    if len(data) < 4 * count:
        raise ValueError(f"{len(data)} bytes for the positions of {count} images")
    positions = np.frombuffer(data, "<u4", count).astype(np.int64)
    with Image.open(io.BytesIO(data[4 * count :]), formats=["WEBP", "PNG"]) as picture:
        # before a pixel is decoded, so that no record can ask for more than it should
        if picture.size != (width, count * height) or picture.mode != "RGB":
            raise ValueError(f"a picture of {picture.size}, {picture.mode}")
        pixels = np.asarray(picture)
    return RawImages(positions, pixels.reshape(count, height, width, 3))
