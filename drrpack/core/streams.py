"""Streams: the codes of one class at one level as one ANS message, many streams side by side.

The first images of a stream are *plain*: a fixed table codes them on one lane, until the stack has
enough bits for bits-back and for the heads of further lanes. Then the message is widened to these,
and the entropy model codes groups of images. At the end the message is narrowed again. Because
inference is exact, a stream that was written beside others can be read alone or beside any others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core import ans
from drrpack.core.ans import Message, Words
from drrpack.core.arrays import Symbols
from drrpack.core.codes import Grid
from drrpack.core.entropy.model import LevelModel
from drrpack.core.errors import CorruptError, MessageError
from drrpack.core.exact import exact_arithmetic
from drrpack.core.frequencies import TABLE_PRECISION, Frequencies
from drrpack.core.lockstep import climb, descend
from drrpack.core.probability import PRECISION

# Codes of streams that are coded side by side; of a larger group the level's model itself takes
# a part at a time.
POSITIONS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class StreamLayout:
    """How the streams of one level are laid out; stored in the file, as decoding depends on it."""

    plain_images: int  # at the bottom of each stream, at least; a file may have 0 to 2**31
    group: int = 8  # images that the model codes in one step, 1 to 4096
    lanes: int = 64  # 1 to 4096

    def steps(self, images: int) -> int:
        """How many groups a stream of ``images`` images has; the rest of its images are plain."""
        return max(0, (images - self.plain_images) // self.group)

    def plain(self, images: int) -> int:
        return images - self.steps(images) * self.group


@dataclass(frozen=True)
class Level:
    """All that codes one level: the model, the table of the plain images and the layout."""

    model: LevelModel
    table: Frequencies
    layout: StreamLayout

    @property
    def device(self) -> torch.device:
        return self.model.device


def encode(level: Level, codes: Sequence[Grid], tops: Sequence[Grid] | None) -> list[Words]:
    """A stream of 32-bit words for each class.

    Args:
        codes: for each class uint16 (images, H, W).
        tops: for the bottom level the top codes (images, H / 2, W / 2), else None.

    Raises:
        MessageError: the plain images have too few bits for the first group to borrow:
            `StreamLayout.plain_images` is too small.
    """
    blocks = _blocks(level, codes)
    out: list[Words] = []
    with exact_arithmetic(level.device):
        for block in blocks:
            above = None if tops is None else tops[block]
            try:
                out += ans.flatten(_encode_block(level, codes[block], above))
            except MessageError as error:
                raise MessageError(
                    f"{level.layout.plain_images} plain images start each stream, and have too few "
                    "bits for the group after them to borrow; choose a layout with more of them"
                ) from error
    return out


def decode(
    level: Level,
    streams: Sequence[Words],
    images: Sequence[int],
    shape: tuple[int, int],
    tops: Sequence[Grid] | None,
) -> list[Grid]:
    """The inverse of `encode`: ``images`` codes of ``shape`` (H, W) from each stream.

    Raises:
        CorruptError: a stream holds less or more than that.
        DrrError: the model would keep too much of so large a group.
    """
    _refuse_impossible(level, streams, images, shape)
    codes = [np.empty((count, *shape), dtype=np.uint16) for count in images]
    with exact_arithmetic(level.device):
        for block in _blocks(level, codes):
            above = None if tops is None else tops[block]
            try:
                _decode_block(level, ans.unflatten(streams[block]), codes[block], above)
            except MessageError as error:
                raise CorruptError(
                    f"{error}; the stream is truncated or damaged, or another model wrote it"
                ) from error
    return codes


def _refuse_impossible(
    level: Level, streams: Sequence[Words], images: Sequence[int], shape: tuple[int, int]
) -> None:
    """Raise CorruptError for more images than a stream can hold, before memory is allocated.

    Every code takes some bits, because no code has probability 1.
    """
    least_bits = -math.log2(1 - (len(level.table) - 1) / 2**PRECISION)
    for words, count in zip(streams, images, strict=True):
        if count * shape[0] * shape[1] * least_bits > 32 * len(words):
            raise CorruptError(f"a stream of {4 * len(words)} bytes can't hold {count} images")


def _blocks(level: Level, codes: Sequence[Grid]) -> list[slice]:
    """Slices of streams that are coded side by side."""
    if not codes:
        return []
    positions = level.layout.group * codes[0].shape[1] * codes[0].shape[2]
    width = max(1, POSITIONS_AT_ONCE // positions)
    return [slice(i, i + width) for i in range(0, len(codes), width)]


def _encode_block(level: Level, codes: Sequence[Grid], tops: Sequence[Grid] | None) -> Message:
    plain, grouped = _plain_coder(level, codes[0].shape[1:]), _group_coder(level, codes, tops)
    counts, steps = _counts(level, codes)
    wide = np.flatnonzero(steps)  # the streams that have groups

    def push_plain(message: Message, step: int, rows: NDArray[np.intp]) -> Message:
        images = np.stack([codes[r][step].reshape(-1) for r in rows])
        return plain.push(message, images.astype(np.int64))

    def push_group(message: Message, step: int, rows: NDArray[np.intp]) -> Message:
        part = [_group(level, codes[r], step) for r in wide[rows]]
        return grouped(step, wide[rows]).push(message, np.stack(part).astype(np.int64))

    message = climb(ans.empty(len(codes)), counts, push_plain)
    if len(wide):
        part = ans.widen(ans.take(message, wide), level.layout.lanes)
        message = _replace(message, wide, ans.narrow(climb(part, steps[wide], push_group)))
    return message


def _decode_block(
    level: Level, message: Message, codes: Sequence[Grid], tops: Sequence[Grid] | None
) -> None:
    """Fill ``codes`` from the messages, last image first."""
    plain, grouped = _plain_coder(level, codes[0].shape[1:]), _group_coder(level, codes, tops)
    counts, steps = _counts(level, codes)
    wide = np.flatnonzero(steps)

    def pop_plain(message: Message, step: int, rows: NDArray[np.intp]) -> Message:
        message, x = plain.pop(message)
        for r, image in zip(rows, x, strict=True):
            codes[r][step] = image.reshape(codes[r].shape[1:])
        return message

    def pop_group(message: Message, step: int, rows: NDArray[np.intp]) -> Message:
        message, x = grouped(step, wide[rows]).pop(message)
        for r, images in zip(wide[rows], x, strict=True):
            _group(level, codes[r], step)[:] = images
        return message

    if len(wide):
        part = ans.widen(ans.take(message, wide), level.layout.lanes)
        message = _replace(message, wide, ans.narrow(descend(part, steps[wide], pop_group)))
    message = descend(message, counts, pop_plain)
    if message.tail_words.any() or (message.head != ans.HEAD_MIN).any():
        raise CorruptError("a stream holds more than its images; it is damaged")


def _plain_coder(level: Level, shape: tuple[int, ...]) -> ans.Codec[Symbols]:
    return ans.table_codec(level.table, shape[0] * shape[1], TABLE_PRECISION)


def _group_coder(
    level: Level, codes: Sequence[Grid], tops: Sequence[Grid] | None
) -> Callable[[int, NDArray[np.intp]], ans.Codec[Symbols]]:
    """The codec of step ``step`` of the streams ``rows``."""

    def coder(step: int, rows: NDArray[np.intp]) -> ans.Codec[Symbols]:
        above = None
        if tops is not None:
            parts = np.concatenate([_group(level, tops[r], step) for r in rows])
            above = torch.from_numpy(parts.astype(np.int64)).to(level.device)
        _, height, width = codes[0].shape
        return level.model.coder((len(rows), level.layout.group, height, width), above)

    return coder


def _group(level: Level, codes: Grid, step: int) -> Grid:
    """The images of group ``step`` of a stream, a view."""
    start = level.layout.plain(len(codes)) + step * level.layout.group
    return codes[start : start + level.layout.group]


def _counts(level: Level, codes: Sequence[Grid]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each stream how many plain images and how many groups it has."""
    plain = np.array([level.layout.plain(len(c)) for c in codes], dtype=np.intp)
    steps = np.array([level.layout.steps(len(c)) for c in codes], dtype=np.intp)
    return plain, steps


def _replace(message: Message, rows: NDArray[np.intp], part: Message) -> Message:
    """``message`` with the streams ``rows`` exchanged for those of ``part``."""
    rest = np.setdiff1d(np.arange(message.streams), rows)
    joined = ans.join(part, ans.take(message, rest))
    return ans.take(joined, np.argsort(np.concatenate([rows, rest])))


# Groups of images and lanes to choose from, fast ones first: both want a longer start. A plain
# image is a tenth larger than others, so a share of 0.05 costs half a percent; (1, 8) would save
# that, and decodes a few classes alone ten times slower. One lane wants no start but what latents
# borrow: without latents not even the single image of a class is plain.
WIDTHS = ((8, 64), (4, 32), (2, 16), (1, 8), (1, 1))
PLAIN_SHARE = 0.05  # of a typical class


def choose_layout(
    level: Level,
    codes: Sequence[Grid],
    tops: Sequence[Grid] | None,
    widths: Sequence[tuple[int, int]] | None = None,
) -> StreamLayout:
    """The layout of streams that suits these classes, as `suitable` says; of ``widths``, pairs of
    images in a group and lanes, which are `WIDTHS` by default."""

    def needed(group: int, lanes: int) -> int:
        layout = StreamLayout(0, group, lanes)
        return plain_images_needed(replace(level, layout=layout), codes, tops)

    return suitable([len(c) for c in codes], needed, widths)


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


def plain_images_needed(level: Level, codes: Sequence[Grid], tops: Sequence[Grid] | None) -> int:
    """The fewest plain images, in steps of an eighth, that give every stream enough bits; 0 where
    there are no images."""
    table_bits = -np.log2(level.table / 2.0**TABLE_PRECISION)
    bits = [table_bits[c].sum((1, 2)).mean() for c in codes if len(c)]
    if not bits:
        return 0
    need = 32 * ans.words_to_widen(level.layout.lanes) / float(np.mean(bits))
    while True:
        layout = replace(level.layout, plain_images=int(np.ceil(need)))
        end = layout.plain_images + layout.group
        above = None if tops is None else [t[:end].copy() for t in tops]
        try:  # copies, as a view would keep all codes of its class in memory
            encode(replace(level, layout=layout), [c[:end].copy() for c in codes], above)
            return layout.plain_images
        except MessageError:
            need = max(need * 1.125, layout.plain_images + 1)
