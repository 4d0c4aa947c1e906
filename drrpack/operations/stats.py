"""Where every byte of a ``.drr`` file goes, and what it buys: what ``drrpack stats`` shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from drrpack.formats.account import account
from drrpack.formats.container import Reader
from drrpack.formats.layout import AnyPath, Json


@dataclass(frozen=True)
class Bytes:
    """A file and its parts, in bytes; the parts add up to ``file``."""

    file: int
    payload: int  # streams
    vqvae: int
    entropy_model: int
    raw: int  # raw exemplars
    container: int  # index, names, metadata and HDF5 itself


@dataclass(frozen=True)
class BytesPerImage:
    """What an image takes: in streams alone, and of the whole file."""

    payload: float
    total: float


@dataclass(frozen=True)
class Bits:
    """Bits per code: as coded, by the order-0 entropy of the codes, and by lzma; the latter two
    are None where they were not measured."""

    coded: float
    order0: float | None
    lzma: float | None


@dataclass(frozen=True)
class BitsPerCode:
    """The same by level, and of both together."""

    top: Bits
    bottom: Bits
    all: Bits


@dataclass(frozen=True)
class Stats:
    """All figures of a file. PSNR was measured when it was encoded, on ``psnr_images`` images that
    ``psnr_on`` describes; it is None where it was not."""

    path: str
    format_version: str
    images: int
    classes: int
    image_size: tuple[int, int]  # (height, width)
    entropy_model: str
    bytes: Bytes
    raw_bytes: int  # of the pixels
    bytes_per_image: BytesPerImage
    bits_per_code: BitsPerCode
    compression_ratio: float  # raw bytes to those of the file
    psnr_db: float | None
    psnr_images: int
    psnr_on: str

    def to_json(self) -> Json:
        """As ``drrpack stats --json`` prints it."""
        found: Json = asdict(self)
        del found["path"]
        return {**found, "image_size": list(self.image_size)}


def stats(memory: AnyPath) -> Stats:
    """Account for every byte of the ``.drr`` file at a path or an address.

    Raises:
        FormatError: the file is missing or damaged, see `drrpack.core.errors`.
    """
    with Reader(memory) as reader:
        figures: Any = account(reader)
    bits = {level: Bits(**found) for level, found in figures["bits_per_code"].items()}
    return Stats(
        **{
            **figures,
            "path": str(memory),
            "image_size": tuple(figures["image_size"]),
            "bytes": Bytes(**figures["bytes"]),
            "bytes_per_image": BytesPerImage(**figures["bytes_per_image"]),
            "bits_per_code": BitsPerCode(**bits),
        }
    )
