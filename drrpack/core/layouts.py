"""Choose the layout of streams: few plain images, and enough for the groups after them to borrow.

A later group may ask for more than the first. So streams are laid out by the starts of all classes,
and where a group finds too few bits after all, they are coded again with longer starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from drrpack.core import ans, streams
from drrpack.core.codec import ClassStreams, Codec
from drrpack.core.codes import LEVELS, Codes, Grid, LevelName, Levels
from drrpack.core.errors import MessageError
from drrpack.core.frequencies import TABLE_PRECISION, Frequencies
from drrpack.core.streams import Level, StreamLayout

# Groups of images and lanes to choose from, fast ones first: both want a longer start. A plain
# image is a tenth larger than others, so a share of 0.05 costs half a percent; (1, 8) would save
# that, and decodes a few classes alone ten times slower. One lane wants no start but what latents
# borrow: without latents not even the single image of a class is plain.
WIDTHS = ((8, 64), (4, 32), (2, 16), (1, 8), (1, 1))
PLAIN_SHARE = 0.05  # of a typical class
# Of each class are kept, to try layouts on, so many images at least, and more of small ones: so
# many top codes. Most layouts ask for fewer.
FIRST_IMAGES, FIRST_CODES = 16, 4096

T = TypeVar("T")


def lay_out(
    codec: Codec, classes: Sequence[Codes], widths: Sequence[tuple[int, int]] | None = None
) -> tuple[Codec, list[ClassStreams]]:
    """The codec with the layout of streams that suits these classes, and their streams.

    ``widths`` are those of `choose_layout`.

    Raises:
        DrrError: as `Codec.compress`.
    """
    return lengthened(suited(codec, classes, widths), lambda one: one.compress(classes))


def lengthened(codec: Codec, attempt: Callable[[Codec], T]) -> tuple[Codec, T]:
    """What ``attempt`` makes of the codec, whose streams get an eighth more plain images as often
    as it raises MessageError, and the codec then."""
    while True:
        try:
            return codec, attempt(codec)
        except MessageError:
            top, bottom = (
                replace(layout, plain_images=layout.plain_images * 9 // 8 + 1)
                for layout in (codec.layouts.top, codec.layouts.bottom)
            )
            codec = replace(codec, layouts=Levels(top, bottom))


def suited(
    codec: Codec, classes: Sequence[Codes], widths: Sequence[tuple[int, int]] | None = None
) -> Codec:
    """The codec with a layout that pays for the first group of every stream of these classes.

    ``classes`` may be `Lazily` made: they are read once, and again if a layout asks for the codes
    of many images; those of one class are in memory at a time.
    """
    starts = Starts(Levels(codec.top.table, codec.bottom.table), classes)
    top = choose_layout(codec.top, "top", starts, widths)
    bottom = choose_layout(codec.bottom, "bottom", starts, widths)
    return replace(codec, layouts=Levels(top, bottom))


class Starts:
    """What decides how the streams of some classes start.

    Args:
        tables: what codes the plain images of each level.
        classes: the codes of each.
    """

    def __init__(self, tables: Levels[Frequencies], classes: Sequence[Codes]) -> None:
        self.images = list[int]()  # of each class
        self._classes, self._read, self._first = classes, FIRST_IMAGES, list[Codes]()
        prices = {name: -np.log2(tables[name] / 2.0**TABLE_PRECISION) for name in LEVELS}
        bits: dict[LevelName, list[float]] = {name: [] for name in LEVELS}
        for codes in classes:
            self._read = max(FIRST_IMAGES, FIRST_CODES // math.prod(codes.top.shape[1:]))
            self.images.append(len(codes))
            self._first.append(_copy(codes, self._read))
            for name in LEVELS if len(codes) else ():
                bits[name].append(prices[name][codes[name]].sum((1, 2)).mean())
        self.plain_bits = {name: float(np.mean(of)) if of else 0.0 for name, of in bits.items()}

    def grids(self, name: LevelName, count: int) -> tuple[list[Grid], list[Grid] | None]:
        """The codes of a level of the first ``count`` images of each class, and the top codes
        above them."""
        if count > self._read:
            self._read = 2 * count
            self._first = [_copy(codes, self._read) for codes in self._classes]
        tops = [codes.top[:count] for codes in self._first]
        if name == "top":
            return tops, None
        return [codes.bottom[:count] for codes in self._first], tops


def _copy(codes: Codes, count: int) -> Codes:
    """The first images alone: a view would keep all codes of the class in memory."""
    return Codes(codes.top[:count].copy(), codes.bottom[:count].copy())


def choose_layout(
    level: Level, name: LevelName, starts: Starts, widths: Sequence[tuple[int, int]] | None = None
) -> StreamLayout:
    """The layout of a level's streams that suits these classes, as `suitable` says; of ``widths``,
    pairs of images in a group and lanes, which are `WIDTHS` by default."""

    def needed(group: int, lanes: int) -> int:
        layout = StreamLayout(0, group, lanes)
        return plain_images_needed(replace(level, layout=layout), name, starts)

    return suitable(starts.images, needed, widths)


def suitable(
    images: Sequence[int],
    needed: Callable[[int, int], int],
    widths: Sequence[tuple[int, int]] | None = None,
) -> StreamLayout:
    """The fastest layout whose plain images are a small part of a typical class, or else that with
    the fewest.

    ``images`` are those of each class; ``needed`` says how many have to be plain for a group of so
    many and so many lanes.
    """
    typical = float(np.median(images)) if len(images) else 0.0
    tried = list[StreamLayout]()
    for group, lanes in widths or WIDTHS:
        tried.append(StreamLayout(needed(group, lanes), group, lanes))
        if tried[-1].plain_images <= PLAIN_SHARE * typical:
            return tried[-1]
    return min(tried, key=lambda layout: layout.plain_images)  # of equal ones the fastest


def plain_images_needed(level: Level, name: LevelName, starts: Starts) -> int:
    """The fewest plain images, in steps of an eighth, that give every stream enough bits; 0 where
    there are no images."""
    if not any(starts.images):
        return 0
    need = 32 * ans.words_to_widen(level.layout.lanes) / starts.plain_bits[name]
    while True:
        layout = replace(level.layout, plain_images=int(np.ceil(need)))
        codes, above = starts.grids(name, layout.plain_images + layout.group)
        try:
            streams.encode(replace(level, layout=layout), codes, above)
            return layout.plain_images
        except MessageError:
            need = max(need * 1.125, layout.plain_images + 1)
