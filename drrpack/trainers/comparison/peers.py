"""Image files as rivals of a memory: one file for each image, or sheets of a class.

A file of one image counts without its headers, because a program that keeps thousands of images of
one size and quality would write these headers once. A sheet counts as a whole file. Every encoder
uses the settings that make the smallest file at its PSNR, within a reasonable time.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from drrpack.core.arrays import Pixels
from drrpack.core.errors import OptionError
from drrpack.trainers.comparison.sheets import cut, sheets_of, tile

Setting = str | int | float | bool  # what an encoder is told under a name
WEBP_COMMON_BYTES = 27  # RIFF and chunk headers, start code, width and height
WEBP_LOSSLESS_COMMON_BYTES = 25  # RIFF and chunk headers, signature, width and height
PNG_COMMON_BYTES = 57  # signature, IHDR, IEND, and length, type and CRC of one IDAT
BOX_BYTES = 8  # size and type of a box of AVIF
JXL_COMMON_BYTES = 2  # the signature of a naked codestream


@dataclass(frozen=True)
class Packed:
    """Images as they come out of a codec, (n, H, W, 3), and the bytes of each file: (n,) where a
    file holds one image, fewer where it is a sheet."""

    images: Pixels
    sizes: NDArray[np.int64]
    seconds: tuple[float, float] = (0.0, 0.0)  # of packing and of unpacking all images

    @property
    def image_bytes(self) -> float:
        """Of one image, on average."""
        return float(self.sizes.sum() / len(self.images))

    def some(self, rows: NDArray[np.int64]) -> Packed:
        """Of some images alone; each has a file of its own."""
        return Packed(self.images[rows], self.sizes[rows])


@dataclass(frozen=True)
class Rival:
    """A way to keep images as files of a lossy format, at every quality that its encoder knows."""

    name: str
    format: str  # as Pillow calls it
    common: int | Callable[[bytes], int]  # bytes of a file that all files share, and don't count
    curve: tuple[int, ...]  # qualities from the smallest files to some larger than a memory's
    # what Pillow is told beside quality
    options: Mapping[str, Setting] = field(default_factory=dict)
    step: float = 1  # between qualities that the encoder tells apart; Pillow takes whole ones alone
    sheets: bool = False  # all images of a class in one file
    lowest: float = 0.0  # quality: there are no smaller files

    def told(self, quality: float) -> dict[str, Setting]:
        """All that Pillow is told; a quality of whole steps is an int, as JPEG and AVIF want it."""
        whole = round(quality / self.step) * self.step
        number = int(whole) if float(whole).is_integer() else round(whole, 6)
        return {"quality": number, **self.options}

    def pack(self, classes: Sequence[Pixels], quality: float) -> Packed:
        """Files of the images (n, H, W, 3) of each class, and what comes back, in their order."""
        told = self.told(quality)
        if not self.sheets:
            return _pack(np.concatenate(classes), self.common, self.format, **told)
        parts = list(sheets_of(classes))
        made = [_pack(tile(part)[None], self.common, self.format, **told) for part in parts]
        images = [
            cut(one.images[0], len(part), (part.shape[1], part.shape[2]))
            for one, part in zip(made, parts, strict=True)
        ]
        seconds = [sum(one.seconds[way] for one in made) for way in (0, 1)]
        sizes = np.concatenate([one.sizes for one in made])
        return Packed(np.concatenate(images), sizes, (seconds[0], seconds[1]))

    def between(self, low: float, high: float) -> float | None:
        """The middle of two qualities, in steps of the encoder; None: there is nothing between."""
        first, last = round(low / self.step), round(high / self.step)
        return (first + last) // 2 * self.step if last - first > 1 else None


def png(images: Pixels) -> Packed:
    """PNG at its smallest."""
    return _pack(images, PNG_COMMON_BYTES, "PNG", **PNG_OPTIONS)


def webp_lossless(images: Pixels) -> Packed:
    """WebP without loss."""
    return _pack(images, WEBP_LOSSLESS_COMMON_BYTES, "WEBP", **WEBP_LOSSLESS_OPTIONS)


PNG_OPTIONS = {"optimize": True}
# The smallest at 32x32, where methods 5 and 6 take up to 40 times as long and make it larger; at
# 64x64 within 0.2 % of the smallest. `quality` is how hard it tries.
WEBP_LOSSLESS_OPTIONS = {"lossless": True, "method": 4, "quality": 20, "exact": True}


def _scan_start(data: bytes) -> int:
    """Where the entropy-coded scan starts: all before it is common to files of one quality."""
    marker = data.rindex(b"\xff\xda")
    return marker + 2 + int.from_bytes(data[marker + 2 : marker + 4], "big")


BEST_LOSSY = 99.0  # 100 means no loss in JPEG XL, and hardly more than this elsewhere


def _all_but_mdat(data: bytes) -> int:
    """What is not in the media data box of an ISO base media file, one of which holds the image."""
    place = 0
    while data[place + 4 : place + 8] != b"mdat":
        place += int.from_bytes(data[place : place + 4], "big")
    return len(data) - int.from_bytes(data[place : place + 4], "big") + BOX_BYTES


# Qualities are dense where small images take as much as a memory's. At equal bytes WebP's method 6
# is 0.1 dB better than 4, AVIF's speed 4 0.15 to 0.2 dB better than 6; as much again at speed 2
# would take three times as long.
_SINGLE = (
    Rival(
        "JPEG", "JPEG", _scan_start,
        (1, 3, 5, 8, 10, 11, 12, 13, 14, 15, 17, 20, 25, 30, 40, 50, 75), {"subsampling": "4:2:0"},
        lowest=1.0,
    ),
    Rival(
        "WebP", "WEBP", WEBP_COMMON_BYTES,
        (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60), {"method": 6}, step=0.1,
    ),
    Rival(
        "AVIF", "AVIF", _all_but_mdat,
        (5, 10, 15, 20, 25, 30, 40, 50, 60), {"subsampling": "4:2:0", "speed": 4},
    ),
    Rival("JPEG XL", "JXL", JXL_COMMON_BYTES, (5, 10, 20, 30, 50, 70)),
)  # fmt: skip
_SHEET_CURVES = {
    "JPEG": (1, 3, 5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75),
    "WebP": (0, 1, 2, 5, 10, 20, 30, 50),
    "AVIF": (20, 30, 38, 45, 55),
    "JPEG XL": (10, 20, 30, 50),
}
_SHEET_OPTIONS = {"JPEG": {"optimize": True}}  # Huffman tables of its own, which a sheet pays for


def _sheet(single: Rival) -> Rival:
    name, options = single.name, {**single.options, **_SHEET_OPTIONS.get(single.name, {})}
    return replace(
        single, name=f"{name}-sheet", common=0, curve=_SHEET_CURVES[name], options=options,
        sheets=True,
    )  # fmt: skip


LOSSY = {rival.name: rival for rival in (*_SINGLE, *map(_sheet, _SINGLE))}


def available() -> list[str]:
    """The names in `LOSSY` that this Pillow writes."""
    Image.init()
    return [name for name, rival in LOSSY.items() if rival.format in Image.SAVE]


def chosen(names: Sequence[str] | None) -> list[str]:
    """Of those in `available` the ones that are named, in any case; all without names.

    Raises:
        OptionError: a name is none of them.
    """
    there = available()
    if names is None:
        return there
    known = {name.lower(): name for name in there}
    unknown = [name for name in names if name.strip().lower() not in known]
    if unknown or not names:
        found = f"found {unknown[0]!r}" if unknown else "found none"
        raise OptionError(f"`rivals`: {found}; there are: {', '.join(there)}", option="rivals")
    wanted = {known[name.strip().lower()] for name in names}
    return [name for name in there if name in wanted]


def libraries() -> dict[str, str]:
    """The versions of Pillow and of the libraries that code for it."""
    import PIL

    found = {"pillow": PIL.__version__}
    for name, feature in (("libjpeg", "jpg"), ("libwebp", "webp"), ("libavif", "avif")):
        if feature in features.get_supported():
            found[name] = str(features.version(feature))
    if features.check("libjpeg_turbo"):
        found["libjpeg-turbo"] = str(features.version("libjpeg_turbo"))
    return found


def _pack(
    images: Pixels, common: int | Callable[[bytes], int], kind: str, **options: Setting
) -> Packed:
    """Files in memory by Pillow, and back; ``common`` bytes of each are shared by all."""
    start = time.perf_counter()
    files = [_save(image, kind, **options) for image in images]
    middle = time.perf_counter()
    pixels = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]
    seconds = middle - start, time.perf_counter() - middle
    sizes = [len(file) - (common if isinstance(common, int) else common(file)) for file in files]
    return Packed(np.stack(pixels), np.array(sizes, dtype=np.int64), seconds)


def _save(image: Pixels, kind: str, **options: Setting) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()
