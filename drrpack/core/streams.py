"""Streams: the codes of one class at one level as one ANS message, many streams side by side.

The first images of a stream are *plain*: a fixed table codes them on one lane, until the stack has
enough bits for bits-back and for the heads of further lanes. Then the message is widened to these,
and the entropy model codes groups of images. At the end the message is narrowed again. Because
inference is exact, a stream that was written beside others can be read alone or beside any others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
SPACE, PADDING = 1 << 20, 4  # words that a message may take, or so many times what it holds
CODES_A_WORD = 4  # or fewer: of a stream that is yet to be written


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
    if not codes:
        return []
    out: dict[int, Words] = {}
    with exact_arithmetic(level.device):
        for block in _blocks(level, [c.size // CODES_A_WORD for c in codes], codes[0].shape[1:]):
            above = None if tops is None else [tops[r] for r in block]
            try:
                message = _encode_block(level, [codes[r] for r in block], above)
            except MessageError as error:
                raise MessageError(
                    f"{level.layout.plain_images} plain images start each stream, and have too few "
                    "bits for the group after them to borrow; choose a layout with more of them"
                ) from error
            out.update(zip(block, ans.flatten(message), strict=True))
    return [out[r] for r in range(len(codes))]


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
        for block in _blocks(level, [len(words) for words in streams], shape):
            above = None if tops is None else [tops[r] for r in block]
            message = [streams[r] for r in block]
            try:
                _decode_block(level, ans.unflatten(message), [codes[r] for r in block], above)
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


def _blocks(level: Level, words: Sequence[int], shape: tuple[int, ...]) -> list[list[int]]:
    """The streams, of about so many ``words``, that are coded side by side, the longest first.

    In a message every stream has the space of its longest; so long and short ones are kept apart
    where that space would be many times what they hold.
    """
    most = max(1, POSITIONS_AT_ONCE // (level.layout.group * math.prod(shape)))
    blocks, held = list[list[int]](), 0
    for row in sorted(range(len(words)), key=lambda row: -words[row]):
        block = blocks[-1] if blocks else []
        space = (len(block) + 1) * words[block[0]] if block else 0
        if not block or len(block) == most or space > max(SPACE, PADDING * (held + words[row])):
            blocks.append(block := [])
            held = 0
        block.append(row)
        held += words[row]
    return blocks


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
