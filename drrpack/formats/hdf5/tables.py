"""The tables of a ``.drr`` file: the names of its classes, and the indexes of its records.

Each function takes the bytes of one dataset, whose digest has been compared, and returns them as
rows once no row can lead a reader astray. All raise UnsafeError, which names ``path``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codes import LEVELS
from drrpack.formats import layout
from drrpack.formats.layout import AnyPath, forbidden


def parse_classes(path: AnyPath, data: bytes, width: int) -> list[str]:
    """The names in ``/classes``, each of ``width`` bytes in the file."""
    names = np.frombuffer(data, f"S{width}")
    try:
        classes = [bytes(name).decode("utf-8") for name in names]
    except UnicodeDecodeError as error:
        raise forbidden(path, "a class name that is not UTF-8", "UTF-8") from error
    if not 1 <= len(classes) <= layout.MAX_CLASSES:
        raise forbidden(path, f"{len(classes)} classes", f"1 to {layout.MAX_CLASSES}")
    if len(set(classes)) != len(classes) or "" in classes:
        raise forbidden(path, "a class name that is empty or used twice", "distinct names")
    if any("\0" in name for name in classes):  # the zeros at the end are no part of a name
        raise forbidden(path, "a class name with a zero byte in it", "names without one")
    return classes


def parse_index(path: AnyPath, data: bytes, classes: int, room: int) -> NDArray[np.void]:
    """``/index``, (chunks,) of `layout.INDEX`, read-only.

    ``classes`` is how many classes there are, ``room`` the size of ``/streams`` in bytes.
    """
    index = np.frombuffer(data, layout.INDEX)
    if (index["class"] >= classes).any():
        raise forbidden(path, "an index row of no class", f"below {classes}")
    if (index["images"] == 0).any() or index["images"].sum(dtype=np.uint64) > layout.MAX_IMAGES:
        expected = f"at least one a row and {layout.MAX_IMAGES} in all"
        raise forbidden(path, "an impossible number of images in the index", expected)
    longest = max(int(index[f"{level}_bytes"].max(initial=0)) for level in LEVELS)
    if longest > layout.MAX_STREAM_BYTES:
        raise forbidden(path, f"a stream of {longest} bytes", f"{layout.MAX_STREAM_BYTES} at most")
    sizes = index["top_bytes"].astype(np.int64) + index["bottom_bytes"]
    _check_places(path, "streams", index["offset"], sizes, room)
    return index


def parse_raw_index(path: AnyPath, data: bytes, classes: int, room: int) -> NDArray[np.void]:
    """``/raw/index``, (records,) of `layout.RAW_INDEX`, read-only; ``room`` is of ``/raw/data``."""
    index = np.frombuffer(data, layout.RAW_INDEX)
    if (index["class"] >= classes).any() or (index["images"] == 0).any():
        expected = f"classes below {classes} and at least one image a row"
        raise forbidden(path, "an impossible row in the index of raw images", expected)
    if index["images"].sum(dtype=np.uint64) > layout.MAX_IMAGES:
        raise forbidden(path, "too many raw images", f"{layout.MAX_IMAGES} at most")
    if int(index["bytes"].max(initial=0)) > layout.MAX_STREAM_BYTES:
        expected = f"{layout.MAX_STREAM_BYTES} at most"
        raise forbidden(path, "too large a record of raw images", expected)
    _check_places(path, "raw/data", index["offset"], index["bytes"].astype(np.int64), room)
    return index


def _check_places(
    path: AnyPath, name: str, offsets: NDArray[np.uint64], sizes: NDArray[np.int64], room: int
) -> None:
    """All records lie inside their dataset and share no byte."""
    start = np.minimum(offsets, np.uint64(room + 1)).astype(np.int64)  # no overflow
    end = start + sizes
    order = np.lexsort((end, start))
    expected = f"each in its own part of {room} bytes"
    if (end > room).any():
        raise forbidden(path, f"records of /{name} that lie outside of it", expected)
    if (start[order][1:] < end[order][:-1]).any():
        raise forbidden(path, f"records of /{name} that overlap", expected)
