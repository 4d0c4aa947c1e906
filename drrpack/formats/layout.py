"""What a ``.drr`` file holds, how large its parts may be, and the words for what is wrong with one.

``docs/format.md`` is the specification; this module has its names, types and limits in one place.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, Protocol

import numpy as np

from drrpack.core.errors import CorruptError, FormatError, UnsafeError
from drrpack.core.section import Section

FORMAT = "drr"
FORMAT_VERSION = "1.0"
FORMAT_MAJOR = 1

FEATURES: frozenset[str] = frozenset()  # what a file may demand of its reader; none so far

MODELS = ("vqvae", "entropy_model")

# One row a chunk, 40 bytes. `offset` counts from the start of /streams; the bottom stream begins
# where the top one ends; `codes_digest` is of what both decode to.
INDEX = np.dtype(
    [
        ("class", "<u4"),
        ("images", "<u4"),
        ("offset", "<u8"),
        ("top_bytes", "<u4"),
        ("bottom_bytes", "<u4"),
        ("top_crc", "<u4"),
        ("bottom_crc", "<u4"),
        ("codes_digest", "<u8"),
    ]
)

# One row a record of /raw, 24 bytes. `offset` counts from the start of /raw/data.
RAW_INDEX = np.dtype(
    [
        ("class", "<u4"),
        ("images", "<u4"),
        ("offset", "<u8"),
        ("bytes", "<u4"),
        ("crc", "<u4"),
    ]
)
RAW_VERSION = "1.0"

SEAL_BYTES = 32  # of /seal, the sha256 of all other bytes of the file

# Limits, for the writer as for the reader: whoever reads a file may rely on them before it has
# allocated anything. Each is far above what a replay memory needs.
MAX_SIDE = 1 << 12  # pixels
MAX_CLASSES = 1 << 16
MAX_NAME_BYTES = 255  # a folder's name on the usual file systems
MAX_CHUNKS = 1 << 20
MAX_IMAGES = 1 << 26  # in all chunks together
MAX_STREAM_BYTES = 1 << 28
MAX_WEIGHTS_BYTES = 1 << 30
MAX_JSON_BYTES = 1 << 20  # a megabyte of JSON can become tens of megabytes of Python objects
MAX_TEXT_BYTES = 64  # format, versions, creator, digests

# A reader refuses to unpack to more than so many bytes that are more than so many times the packed
# size. Photographs become ten times longer as codes of 8 bytes; only a bomb asks for a thousand.
BOMB_BYTES = 1 << 28
BOMB_RATIO = 1000

Json = dict[str, Any]
AnyPath = str | PathLike[str]


class Data(Protocol):
    """Bytes, or what gives bytes when it is asked for them, and knows before how many."""

    def __len__(self) -> int: ...

    def __bytes__(self) -> bytes: ...


@dataclass(frozen=True, eq=False)
class Stored:
    """Data of a known size that is read from where it lies whenever it is asked for."""

    size: int
    read: Callable[[], bytes] = field(repr=False)

    def __len__(self) -> int:
        return self.size

    def __bytes__(self) -> bytes:
        return self.read()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes | Stored) and bytes(self) == bytes(other)


@dataclass(frozen=True)
class Chunk:
    """The two streams of some images of one class; a class may have several chunks, in order."""

    class_index: int  # into Memory.classes
    images: int
    top: Data
    bottom: Data
    codes_digest: int  # `drrpack.core.codes.Codes.digest` of what they decode to


@dataclass(frozen=True)
class RawRecord:
    """Some images of one class as they were before coding; `drrpack.formats.raw` packs them."""

    class_index: int  # into Memory.classes
    images: int
    data: Data


@dataclass(frozen=True)
class Memory:
    """The whole content of a ``.drr`` file.

    Configs and metadata hold plain JSON values: string keys, and lists for sequences. Images of a
    later chunk of a class follow those of an earlier one.
    """

    image_size: tuple[int, int]  # (height, width) in pixels
    classes: list[str]
    chunks: list[Chunk]
    vqvae: Section
    entropy_model: Section
    metadata: Json = field(default_factory=dict)
    raw: list[RawRecord] = field(default_factory=list)

    def loaded(self) -> Memory:
        """The same with all data in memory, so that it can be closed where it came from."""
        chunks = [replace(c, top=bytes(c.top), bottom=bytes(c.bottom)) for c in self.chunks]
        return replace(self, chunks=chunks, raw=[replace(r, data=bytes(r.data)) for r in self.raw])


def damaged(path: AnyPath, found: str, expected: str) -> CorruptError:
    """The error for a file that is not as it was written."""
    return CorruptError(
        f"{path}: found {found}, expected {expected}; the file is damaged: "
        "take an intact copy of it, or encode the images again"
    )


def malformed(path: AnyPath, found: str, expected: str) -> FormatError:
    """The error for a file that was never as ``docs/format.md`` demands."""
    return FormatError(
        f"{path}: found {found}, expected {expected}; this is not a .drr file as docs/format.md "
        "defines it: check the path, or write the file with `drrpack encode`"
    )


def forbidden(path: AnyPath, found: str, expected: str) -> UnsafeError:
    """The error for a file that is whole, as its checksums show, and yet breaks a rule."""
    return UnsafeError(
        f"{path}: found {found}, expected {expected}; docs/format.md forbids it, as reading on "
        "could do harm: do not use the file, and ask whoever made it how it was written"
    )


def check_expansion(path: AnyPath, what: str, packed: int, unpacked: int) -> None:
    """Refuse what would take far more memory than honest data of its size.

    Raises:
        UnsafeError: it names ``what``.
    """
    if unpacked > max(BOMB_BYTES, BOMB_RATIO * packed):
        raise forbidden(
            path, f"{what}: {packed} bytes that unpack to {unpacked}", f"{BOMB_RATIO} times at most"
        )


def dump_json(value: Json) -> bytes:
    """JSON as the file stores it: UTF-8, no spaces, no NaN.

    Raises:
        ValueError, TypeError: a value that JSON does not know.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


def parse_json(path: AnyPath, name: str, text: bytes) -> Json:
    """The inverse of `dump_json` for the element ``name`` of a file.

    Raises:
        UnsafeError: the bytes are not one JSON object, or hold what `dump_json` refuses.
    """
    try:
        value = json.loads(
            text.decode("utf-8"),
            parse_constant=_refuse_constant, object_pairs_hook=_distinct,
        )  # fmt: skip
        dump_json(value)  # infinities such as 1e999, and halves of surrogate pairs
    except (ValueError, RecursionError) as error:  # bad UTF-8 is a ValueError, deep nesting not
        raise forbidden(path, f"{name} that can't be parsed ({error})", "JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise forbidden(path, f"{name} holding a JSON {type(value).__name__}", "a JSON object")
    return value


def number(
    value: object, least: float = -sys.float_info.max, most: float = sys.float_info.max
) -> float | None:
    """A number of JSON from ``least`` to ``most``, which is one that a float can hold; else None.

    JSON has whole numbers of any size, at which arithmetic and formats of floats fail.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if least <= value <= most else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found
