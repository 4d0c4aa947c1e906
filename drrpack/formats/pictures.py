"""From one picture file to RGB pixels, or to the reason why it can't be read."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from drrpack.formats.splits import BadImage, Pixels

# A list of our own, because Pillow's holds formats that start other programs (EPS) and some
# without a signature, as which any file passes. MPO is what many telephones write as .jpg.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "PPM", "TIFF", "GIF", "JPEG2000", "AVIF")
EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".tif", ".tiff", ".gif", ".jp2", ".j2k", ".avif"),
)
THREADS = min(8, os.cpu_count() or 1)


class NotReadable(Exception):
    """The reason why a file can't be read as a picture."""


@dataclass(frozen=True)
class Picture:
    """A picture as read: its file, the sha256 of the file's bytes, its pixels (H, W, 3) uint8."""

    path: Path
    sha256: bytes
    pixels: Pixels


def read_pictures(paths: Sequence[Path], size: int | None) -> list[Picture | BadImage]:
    """Read every file, in order, several at a time; ``size``: see ``fit_square``."""
    _formats()  # Pillow loads its plugins here, before there are threads
    with _strict_pillow(), ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda path: _read_picture(path, size), paths))


def fit_square(image: Image.Image, size: int) -> Image.Image:
    """Bring a picture to ``size`` x ``size``.

    Its shorter side becomes ``size``, by Pillow's bicubic filter, which antialiases; what is
    longer is cut at both ends alike. A picture that has this size already stays as it is.
    """
    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: 16 bits scaled to 8, grey repeated, palettes looked up, alpha dropped.

    Alpha is dropped and not blended, as torchvision's ImageFolder does. Refused are modes
    without a fixed range (float, 32-bit integers) and those Pillow can't convert.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        return _from_16_bits(image).convert("RGB")
    if image.mode == "F":
        raise NotReadable("its pixels are floats, which have no fixed range of brightness")
    return image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits to 8, rounded to nearest. Pillow's own conversion clips at 255."""
    grey = np.asarray(image).astype(np.int64)  # (H, W)
    if grey.min() < 0 or grey.max() > 65535:
        raise NotReadable("its pixels are 32-bit integers, which have no fixed range of brightness")
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8))  # 65535 = 255 * 257


def _read_picture(path: Path, size: int | None) -> Picture | BadImage:
    """Read one file; whatever goes wrong becomes a reason, so that all bad files are listed."""
    try:
        content = _read_file(path)
        pixels = _decode(content, size)
    except NotReadable as reason:
        return BadImage(path, str(reason))
    return Picture(path, hashlib.sha256(content).digest(), pixels)


def _read_file(path: Path) -> bytes:
    """The content of a regular file that is not empty; links are followed."""
    try:
        # asked before opening: opening a pipe would wait for ever
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotReadable("is a device, pipe or socket, not a file")
        content = path.read_bytes()
    except OSError as error:
        raise NotReadable(f"can't be opened: {error.strerror or error}") from error
    if not content:
        raise NotReadable("is empty (0 bytes)")
    return content


def _decode(content: bytes, size: int | None) -> Pixels:
    """The first frame of a picture, upright, as (H, W, 3) uint8."""
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            _refuse_bomb(image)
            image.load()
            with suppress(Exception):  # damaged EXIF is no reason to refuse good pixels
                ImageOps.exif_transpose(image, in_place=True)
            rgb = to_rgb(image)
            return np.array(rgb if size is None else fit_square(rgb, size))
    except UnidentifiedImageError as error:
        start = content[:8].hex(" ")
        raise NotReadable(f"is no picture of a known format (it starts {start})") from error
    except Image.DecompressionBombError as error:
        raise NotReadable(f"is too large, perhaps a decompression bomb: {error}") from error
    except NotReadable:
        raise
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise NotReadable(f"can't be decoded, it is damaged or truncated: {error}") from error


@cache
def _formats() -> tuple[str, ...]:
    """Those of FORMATS that this build of Pillow can read; it may lack AVIF or JPEG 2000."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _refuse_bomb(image: Image.Image) -> None:
    """Refuse what Pillow only warns of; nothing has been decompressed yet."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise NotReadable(
            f"is too large, perhaps a decompression bomb: {image.width} x {image.height} pixels, "
            f"Pillow's limit is {limit}"
        )


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Read without warnings, and with truncated files refused, whatever the program has set.

    Both settings are the process's own: they are set once around all threads, then put back.
    """
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bombs are refused by size, odd EXIF is no matter
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
