"""Convert pixels of any kind to 8-bit RGB: find the values of black and white."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsInt, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drrpack.formats.sources.reading import Reading

Values: TypeAlias = NDArray[np.generic]

WHITE_16 = 65535
# A source of 16 bits whose brightest value is below a quarter of white holds, most likely, integers
# of 8, 10, 12 or 14 bits; a camera's or a scanner's 16 bits reach higher somewhere.
DIM = 1 << 14
USUAL_DEPTHS = (8, 10, 12, 14)

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF
_MIN_IS_WHITE = 0
_UNSIGNED, _SIGNED = 1, 2  # of _SAMPLE_FORMAT


class NotReadable(Exception):
    """The reason why a file can't be read as a picture."""


@dataclass(frozen=True)
class Samples:
    """What a file says of its samples."""

    what: str  # in words
    white: int | None  # the brightest value; None where neither file nor type says
    open_ended: bool = False  # integers of 16 bits may use fewer of them
    inverted: bool = False  # 0 is white, and Pillow leaves it at that
    signed: bool = False
    stretched: bool = False  # Pillow has brought them from the file's range to 16 bits

    @property
    def deep(self) -> bool:
        """Whether they have more than 8 bits, or no agreed range: then a user may name one."""
        return self.white != 255


EIGHT_BITS = Samples("8-bit integers", 255)
COLOURS_16 = Samples("16-bit colours", 255, open_ended=True)  # Pillow reads the upper 8


def samples_of(image: Image.Image) -> Samples:
    """What an image that is open, and not loaded yet, says; loading takes some of it away."""
    if image.format == "TIFF":
        return _of_tiff(image)
    if image.mode == "F":
        return Samples("floats", None)
    if not image.mode.startswith("I"):
        return COLOURS_16 if _is_16_bit_colour(image) else EIGHT_BITS
    # Of integers only netpbm's, PNG's and JPEG 2000's are left, none of which is signed or wider.
    # Netpbm names the brightest value, and Pillow brings any but 65535 to 16 bits itself.
    stretched = image.format == "PPM" and _codecs(image) != {"raw"}
    return Samples("16-bit integers", WHITE_16, open_ended=not stretched, stretched=stretched)


def _of_tiff(image: Image.Image) -> Samples:
    tags: Mapping[int, object] = getattr(image, "tag_v2", {})
    bits, kind = _first(tags.get(_BITS, 1)), _first(tags.get(_SAMPLE_FORMAT, _UNSIGNED))
    # Pillow turns min-is-white of 1 to 8 bits round and leaves deeper samples as they are
    inverted = tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE
    if image.mode == "F":
        return Samples("floats", None, inverted=inverted)
    if kind == _SIGNED:
        return Samples(f"signed {bits}-bit integers", None, inverted=inverted, signed=True)
    if image.mode.startswith("I;16"):  # of 12 bits, too
        white = (1 << bits) - 1
        return Samples(f"{bits}-bit integers", white, bits == 16, inverted)
    if image.mode == "I":
        return Samples(f"{bits}-bit integers", None, inverted=inverted)
    return COLOURS_16 if _is_16_bit_colour(image) else EIGHT_BITS


def _is_16_bit_colour(image: Image.Image) -> bool:
    """Whether Pillow keeps the upper halves of what the file has."""
    tiles = _tiles(image)
    of_netpbm = image.format == "PPM" and any(tile[3] == ("RGB", WHITE_16) for tile in tiles)
    return of_netpbm or any(";16" in str(tile[3]) for tile in tiles)


def _codecs(image: Image.Image) -> set[object]:
    return {tile[0] for tile in _tiles(image)}


def _tiles(image: Image.Image) -> Sequence[Sequence[object]]:
    """Pillow's notes on how the pixels of a file are to be decoded."""
    tiles: Sequence[Sequence[object]] = getattr(image, "tile", ())
    return tiles


def _first(tag: object) -> int:
    """A tag's number, or the first of several."""
    first = tag[0] if isinstance(tag, tuple) else tag
    if not isinstance(first, SupportsInt):
        raise NotReadable(f"has a tag {first!r}, expected a number; save it anew")
    return int(first)


def to_rgb(
    image: Image.Image, samples: Samples, reading: Reading
) -> tuple[Image.Image, float | None]:
    """A picture of any mode as 8-bit RGB, and its largest value.

    Deep samples are scaled to 8 bits, grey is repeated, palettes are looked up. An alpha channel is
    dropped, not blended, as by torchvision's ImageFolder: a transparent pixel keeps its colour.

    The largest value is None unless ``reading`` gives the value of white, or the samples may use
    only a part of their bits.

    Raises:
        NotReadable: Pillow can't convert the mode; or the samples are signed integers, 32-bit
            integers or floats, and ``reading`` does not give their value of white.
    """
    if samples is COLOURS_16:
        if reading.levels is not None:
            raise NotReadable(
                f"its pixels are {samples.what}, of which the upper 8 are read, and "
                f"{reading.said} is for grey; convert it to 8 bits"
            )
        rgb = _converted(image)
        return rgb, int(np.asarray(rgb).max()) * 256 + 255
    if not samples.deep and not samples.signed:
        return _converted(image), None
    values = _values(image, samples)
    black, white = _levels(values, samples, reading)
    grey = Image.fromarray(_scaled(values, samples, black, white))
    told = reading.levels is not None and not samples.stretched
    peak = float(values.max()) if told or samples.open_ended else None
    return grey.convert("RGB"), peak


def _converted(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode == "La":  # grey under its alpha, which must be divided out first
        image = image.convert("LA")
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise NotReadable(
            f"its colours are {image.mode}, which Pillow can't convert; convert it to RGB"
        ) from error


def _values(image: Image.Image, samples: Samples) -> Values:
    """The samples of a picture of one channel (H, W), in the type that the file has."""
    values: Values = np.asarray(image)
    if values.dtype == np.uint8 and samples.signed:
        return values.view(np.int8)
    if values.dtype == np.int32 and samples.white is None and not samples.signed:
        return values.view(np.uint32)  # Pillow has signed integers of 32 bits alone
    return values


def _levels(values: Values, samples: Samples, reading: Reading) -> tuple[float, float]:
    """The values of black and white; raises NotReadable where nobody says."""
    levels = None if samples.stretched else reading.levels
    if levels is None:
        if samples.white is None:
            raise NotReadable(
                f"its pixels are {samples.what}, which have no fixed range of brightness; say what "
                "is white with `depth=BITS`, or `value_range=(BLACK, WHITE)`, or convert it to "
                "8 bits"
            )
        return 0, samples.white
    if np.isnan(values).any():
        raise NotReadable("some of its pixels are no numbers (NaN); give them a value")
    low, high = values.min(), values.max()
    if reading.depth is not None and (low < levels[0] or high > levels[1]):
        raise NotReadable(
            f"has values from {low} to {high}, expected 0 to {levels[1]} ({reading.said}); "
            "say how many bits they have, or `value_range=(BLACK, WHITE)`"
        )
    return levels


def _scaled(values: Values, samples: Samples, black: float, white: float) -> NDArray[np.uint8]:
    """From ``black`` to ``white`` as 0 to 255, rounded to nearest; what is beyond is cut off."""
    if samples.inverted:
        black, white = white, black
    share = (values.astype(np.float64) - black) / (white - black)
    scaled: NDArray[np.uint8] = np.rint(share.clip(0, 1) * 255).astype(np.uint8)
    return scaled


def usual_depth(peak: float) -> int | None:
    """The bits that values of up to ``peak`` are likely to have; None where they fill 16."""
    if peak >= DIM:
        return None
    return next(depth for depth in USUAL_DEPTHS if peak < 1 << depth)


def brightness_remarks(
    where: str, deep: Sequence[tuple[str, float]], reading: Reading
) -> Iterator[str]:
    """What a user should hear of how bright the pictures of a source come out; ``deep`` are those
    of more than 8 bits, by name and largest value."""
    if reading.levels is not None:
        if not deep:
            yield f"{where}: no picture has more than 8 bits, so {reading.said} does nothing"
        return
    peak = max((peak for _, peak in deep), default=WHITE_16)
    depth = usual_depth(peak)
    if depth is not None:
        named = " and ".join(name for name, _ in deep[:2])
        yield (
            f"{len(deep)} pictures of 16 bits, such as {named}, have no value above {peak:.0f}, "
            f"where white is {WHITE_16}, and come out dark: if white is {2**depth - 1} say "
            f"`depth={depth}`, for anything else `value_range=(BLACK, WHITE)`, and convert colours "
            "to 8 bits"
        )
