"""Read a picture file as RGB pixels, or say why it can't be read."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from drrpack.core.arrays import Pixels
from drrpack.core.wording import sides
from drrpack.formats.process_lock import ProcessLock
from drrpack.formats.sources.brightness import NotReadable, samples_of, to_rgb
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.splits import BadImage

# A list of our own, because Pillow's holds formats that start other programs (EPS) and some
# without a signature, as which any file passes. MPO is what many telephones write as .jpg.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "PPM", "TIFF", "GIF", "JPEG2000", "AVIF")
EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".tif", ".tiff", ".gif", ".jp2", ".j2k", ".avif"),
)
THREADS = min(8, os.cpu_count() or 1)
WINDOW = 2 * THREADS  # pictures that are decoded, or about to be, before the first of them is taken
USUAL_PIXELS = Image.MAX_IMAGE_PIXELS or 0  # Pillow's limit as it comes: of 256 MB in RGB
_ALONE = threading.Lock()
_SETTINGS = ProcessLock()  # of Pillow: one call at a time changes them


@dataclass(frozen=True)
class Picture:
    """A picture as read: its file, the sha256 of the file's bytes, its pixels (H, W, 3) uint8."""

    path: Path
    sha256: bytes
    pixels: Pixels
    peak: float | None = None  # the largest value of a deep one; see ``brightness.to_rgb``


Pictures: TypeAlias = Generator[Picture | BadImage, None, None]  # as they are read, to be closed


def read_pictures(paths: Iterable[Path], reading: Reading) -> Pictures:
    """Read every file, in order, several at a time; its size: see ``fit_square``."""
    return read_contents(((path, partial(_read_file, path)) for path in paths), reading)


def read_contents(found: Iterable[tuple[Path, Callable[[], bytes]]], reading: Reading) -> Pictures:
    """Decode pictures that may lie anywhere, in order, several at a time.

    No more than `WINDOW` of them wait for whoever asks, however many there are. Other calls wait
    until all have been taken, or until the generator is closed.

    Args:
        found: for each a name for messages and a function that gives its bytes; the next ones are
            asked for as pictures are taken. The function is called in a thread, and may raise
            NotReadable.
    """
    readable()  # Pillow loads its plugins here, before there are threads
    with _SETTINGS:
        limit = _pixel_limit(reading)
        with _strict_pillow(limit), ThreadPoolExecutor(THREADS) as pool:
            waiting = deque[Future[Picture | BadImage]]()
            for path, read in found:
                if len(waiting) == WINDOW:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(_read_picture, path, read, reading, limit))
            while waiting:
                yield waiting.popleft().result()


def fit_square(image: Image.Image, size: int) -> Image.Image:
    """Bring a picture to ``size`` x ``size``.

    Its shorter side becomes ``size``, by Pillow's bicubic filter, which antialiases; what is
    longer is cut at both ends alike. A picture that has this size already stays as it is.
    """
    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)


def _read_picture(
    path: Path, read: Callable[[], bytes], reading: Reading, limit: int | None
) -> Picture | BadImage:
    """Read one picture; whatever goes wrong becomes a reason, so that all bad ones are listed."""
    try:
        content = read()
        if not content:
            raise NotReadable("is empty (0 bytes)")
        pixels, peak = _decode(content, reading, limit)
    except NotReadable as reason:
        return BadImage(path, str(reason))
    return Picture(path, hashlib.sha256(content).digest(), pixels, peak)


def _read_file(path: Path) -> bytes:
    """The content of a regular file; links are followed."""
    try:
        # asked before opening: opening a pipe would wait for ever
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotReadable("is a device, pipe or socket, not a file")
        content = path.read_bytes()
    except OSError as error:
        raise NotReadable(f"can't be opened: {error.strerror or error}") from error
    return content


def _decode(content: bytes, reading: Reading, limit: int | None) -> tuple[Pixels, float | None]:
    """The first frame of a picture, upright, as (H, W, 3) uint8, and its ``Picture.peak``."""
    try:
        with Image.open(io.BytesIO(content), formats=readable()) as image, _room_for(image, limit):
            samples = samples_of(image)
            image.load()
            with suppress(Exception):  # damaged EXIF is no reason to refuse good pixels
                ImageOps.exif_transpose(image, in_place=True)
            rgb, peak = to_rgb(image, samples, reading)
            return np.array(rgb if reading.size is None else fit_square(rgb, reading.size)), peak
    except UnidentifiedImageError as error:
        start = content[:8].hex(" ")
        raise NotReadable(f"is no picture of a known format (it starts {start})") from error
    except Image.DecompressionBombError as error:
        raise NotReadable(
            f"is too large, perhaps a decompression bomb: {error} If it is none, allow for its "
            "size with `max_megapixels=N`"
        ) from error
    except NotReadable:
        raise
    except MemoryError as error:
        raise NotReadable("takes more memory to decode than there is") from error
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise NotReadable(f"can't be decoded, it is damaged or truncated: {error}") from error


@cache
def readable() -> tuple[str, ...]:
    """Those of FORMATS that this build of Pillow can read; it may lack AVIF or JPEG 2000."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _pixel_limit(reading: Reading) -> int | None:
    """How many pixels a picture may have: what the user says, or else Pillow's limit, if any."""
    if reading.max_megapixels is None:
        return Image.MAX_IMAGE_PIXELS
    return int(reading.max_megapixels * 1_000_000)


@contextmanager
def _room_for(image: Image.Image, limit: int | None) -> Iterator[None]:
    """Refuse what Pillow only warns of; nothing has been decompressed yet.

    What only a user's own limit lets pass is decoded alone: one such picture takes hundreds of
    megabytes.
    """
    pixels = image.width * image.height
    if limit is not None and pixels > limit:
        raise NotReadable(
            "is too large, perhaps a decompression bomb: "
            f"{sides((image.height, image.width))} pixels, expected {limit} at most; if it is "
            f"none, say `max_megapixels={-(-pixels // 10**6)}`"
        )
    with _ALONE if pixels > USUAL_PIXELS else nullcontext():
        yield


@contextmanager
def _strict_pillow(limit: int | None) -> Iterator[None]:
    """Read without warnings, and with truncated files refused, whatever the program has set.

    All settings are the process's own: they are set once around all threads, then put back, before
    another call may set them. Pillow's limit is among them, as it compares with it first of all: it
    may fill the whole first frame of a GIF where it opens the file.
    """
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bombs are refused by size, odd EXIF is no matter
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
        Image.MAX_IMAGE_PIXELS = usual
