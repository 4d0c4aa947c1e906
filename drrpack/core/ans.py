"""rANS messages: ``push(message, x) -> message`` and ``pop(message) -> (message, x)``.

A message is a stack. It has a row for each of several independent streams, and each stream has
several *lanes*: heads (uint64 in [2**31, 2**63)) that share one tail of 32-bit words. All rows
and lanes move at once, which is what makes numpy fast. A single row is bit-compatible with
craystack's messages (Townsend et al., "HiLLoC", 2020; Giesen, "Interleaved entropy coders", 2014).

Symbols reach this module as intervals: a start and a length out of ``2**precision``.

Messages are values with one owner: an operation uses its argument up, as the tail is extended in
place. To use an old message again raises RuntimeError.
"""

# Long because push and its mirror drop, lanes, words and codecs fix one order of words together.
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import U64
from drrpack.core.errors import CorruptError, MessageError

Words = NDArray[np.uint32]

HEAD_MIN = np.uint64(1 << 31)
_WORD = np.uint64(32)
_HEAD_BITS = np.uint64(63)
_LOW31 = np.uint64((1 << 31) - 1)
_ONE = np.uint64(1)


class _Tail:
    """Words (streams, capacity) and how many of them each stream has; the last are on top."""

    def __init__(self, words: Words, length: NDArray[np.int64]) -> None:
        self.words, self.length, self.uses = words, length, 0

    def push(self, rows: NDArray[np.intp], rank: NDArray[np.int64], values: U64) -> None:
        count = np.bincount(rows, minlength=len(self.length))
        need = int((self.length + count).max())
        if need > self.words.shape[1]:
            grown = np.zeros((len(self.length), 2 * need + 16), dtype=np.uint32)
            grown[:, : self.words.shape[1]] = self.words
            self.words = grown
        # the word of the first lane comes to lie on top, as in craystack
        self.words[rows, self.length[rows] + count[rows] - 1 - rank] = values.astype(np.uint32)
        self.length = self.length + count

    def pop(self, rows: NDArray[np.intp], rank: NDArray[np.int64]) -> U64:
        count = np.bincount(rows, minlength=len(self.length))
        if (count > self.length).any():
            raise MessageError(
                "an ANS message is exhausted: more was popped from it than had been pushed"
            )
        values: U64 = self.words[rows, self.length[rows] - 1 - rank].astype(np.uint64)
        self.length = self.length - count
        return values


@dataclass(frozen=True)
class Message:
    """``head`` is uint64 (streams, lanes); the tail and its use count belong to this module."""

    head: U64
    tail: _Tail
    use: int

    @property
    def streams(self) -> int:
        return int(self.head.shape[0])

    @property
    def lanes(self) -> int:
        return int(self.head.shape[1])

    @property
    def tail_words(self) -> NDArray[np.int64]:
        """How many words each stream's tail holds, (streams,)."""
        return self.tail.length.copy()


def empty(streams: int = 1, lanes: int = 1) -> Message:
    """Messages with nothing in them."""
    head = np.full((streams, lanes), HEAD_MIN, dtype=np.uint64)
    tail = _Tail(np.zeros((streams, 16), dtype=np.uint32), np.zeros(streams, dtype=np.int64))
    return Message(head, tail, 0)


def _current(message: Message) -> _Tail:
    if message.use != message.tail.uses:  # no assertion: without it words would be lost in silence
        raise RuntimeError("this message was used before; take the newer one")
    return message.tail


def _owned(message: Message) -> _Tail:
    tail = _current(message)
    tail.uses += 1
    return tail


def _next(message: Message, part: U64, tail: _Tail) -> Message:
    width = part.shape[1]
    head = part
    if width < message.lanes:
        head = np.concatenate([part, message.head[:, width:]], axis=1)
    return Message(head, tail, tail.uses)


def _shift(precision: int | U64) -> U64:
    return np.asarray(precision, dtype=np.uint64)


def push(message: Message, start: U64, length: U64, precision: int | U64) -> Message:
    """Put one symbol on each of the first lanes of each stream.

    Args:
        start, length: uint64 (streams, n), n at most the number of lanes; ``length`` at least 1.
        precision: bits, at most 31, of the total that the intervals are parts of.
    """
    tail, bits = _owned(message), _shift(precision)
    head = message.head[:, : start.shape[1]]
    full = head >= length << (_HEAD_BITS - bits)
    if full.any():
        rows, lanes = np.nonzero(full)
        tail.push(rows, _rank(full)[rows, lanes], head[rows, lanes])
        head = np.where(full, head >> _WORD, head)
    quotient, remainder = np.divmod(head, length)
    return _next(message, (quotient << bits) + remainder + start, tail)


def peek(message: Message, lanes: int, precision: int | U64) -> U64:
    """The points (streams, lanes), below ``2**precision``, by which intervals are found."""
    mask = (_ONE << _shift(precision)) - _ONE
    return message.head[:, :lanes] & mask


def drop(message: Message, start: U64, length: U64, precision: int | U64) -> Message:
    """Take the symbols that `peek` showed off the message: the inverse of `push`.

    Raises:
        MessageError: the message holds less than that.
    """
    tail, bits = _owned(message), _shift(precision)
    head = message.head[:, : start.shape[1]]
    head = length * (head >> bits) + (head & ((_ONE << bits) - _ONE)) - start
    hungry = head < HEAD_MIN
    if hungry.any():
        rows, lanes = np.nonzero(hungry)
        words = tail.pop(rows, _rank(hungry)[rows, lanes])
        head[rows, lanes] = head[rows, lanes] << _WORD | words
    return _next(message, head, tail)


def _rank(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each set element how many set ones stand before it in its row."""
    return mask.cumsum(1, dtype=np.int64) - 1


def push_bits(message: Message, value: U64, bits: int | U64) -> Message:
    """Push ``value`` (streams, n), uniform below ``2**bits``, bits at most 31."""
    return push(message, value, np.ones_like(value), bits)


def pop_bits(message: Message, lanes: int, bits: int | U64) -> tuple[Message, U64]:
    """The inverse of `push_bits`."""
    value = peek(message, lanes, bits)
    return drop(message, value, np.ones_like(value), bits), value


# --- one lane or many ---------------------------------------------------------------------------
# A lane that starts at 2**31 wastes 31 bits and one that ends anywhere in [2**31, 2**63) wastes 16
# more. So a stream starts narrow, with one lane; once its tail can pay, `widen` draws the heads of
# the other lanes from the message itself, and `narrow` puts them back at the end. The two are
# inverse, hence the lanes cost nothing: a stream has the overhead of one head.

_EXPONENT_BITS = 5


def words_to_widen(lanes: int) -> int:
    """Tail words with which `widen` is sure to succeed: 67 bits for each further lane."""
    return -(-(lanes - 1) * (_EXPONENT_BITS + 62) // 32)


def widen(message: Message, lanes: int) -> Message:
    """One lane to ``lanes``, the others' heads popped from the message."""
    assert message.lanes == 1
    others = []
    for _ in range(lanes - 1):
        message, exponent = pop_bits(message, 1, _EXPONENT_BITS)
        message, high = pop_bits(message, 1, exponent)
        message, low = pop_bits(message, 1, 31)
        others.append((_ONE << (exponent + np.uint64(31))) | high << np.uint64(31) | low)
    tail = _owned(message)
    return Message(np.concatenate([message.head, *others], axis=1), tail, tail.uses)


def narrow(message: Message) -> Message:
    """All lanes to one: the inverse of `widen`."""
    tail = _owned(message)
    others, message = message.head[:, 1:], Message(message.head[:, :1], tail, tail.uses)
    for lane in range(others.shape[1] - 1, -1, -1):
        head = others[:, lane : lane + 1]
        # a head has 32 bits at least: those of its upper half come to them
        exponent = np.frexp((head >> _WORD).astype(np.float64))[1].astype(np.uint64)
        mantissa = head - (_ONE << (exponent + np.uint64(31)))
        message = push_bits(message, mantissa & _LOW31, 31)
        message = push_bits(message, mantissa >> np.uint64(31), exponent)
        message = push_bits(message, exponent, _EXPONENT_BITS)
    return message


# --- streams in and out -------------------------------------------------------------------------


def flatten(message: Message) -> list[Words]:
    """Each stream as uint32 words: upper, then lower halves of the heads, the tail top first."""
    tail = _owned(message)
    upper = (message.head >> _WORD).astype(np.uint32)
    lower = message.head.astype(np.uint32)
    return [
        np.concatenate([upper[i], lower[i], tail.words[i, : tail.length[i]][::-1]])
        for i in range(message.streams)
    ]


def unflatten(streams: Sequence[Words], lanes: int = 1) -> Message:
    """The inverse of `flatten`.

    Raises:
        CorruptError: a stream is too short for its heads, or a head is out of range.
    """
    if any(len(words) < 2 * lanes for words in streams):
        raise CorruptError(f"a stream is shorter than its {lanes} head(s)")
    head = np.array([words[: 2 * lanes] for words in streams], dtype=np.uint64)
    head = head[:, :lanes] << _WORD | head[:, lanes:]
    if (head < HEAD_MIN).any() or (head >= _ONE << _HEAD_BITS).any():
        raise CorruptError("a stream's head is out of range; the stream is damaged")
    length = np.array([len(words) - 2 * lanes for words in streams], dtype=np.int64)
    buffer = np.zeros((len(streams), int(length.max()) + 16), dtype=np.uint32)
    for row, words in zip(buffer, streams, strict=True):
        row[: len(words) - 2 * lanes] = words[2 * lanes :][::-1]
    return Message(head, _Tail(buffer, length), 0)


def take(message: Message, rows: NDArray[np.intp]) -> Message:
    """The messages of some streams alone; the others stay usable through another `take`."""
    tail = _current(message)
    return Message(message.head[rows], _Tail(tail.words[rows], tail.length[rows]), 0)


def join(first: Message, second: Message) -> Message:
    """The streams of two messages with equal lanes, one after the other."""
    parts = (_current(first), _current(second))
    capacity = max(part.words.shape[1] for part in parts)
    words = np.zeros((first.streams + second.streams, capacity), dtype=np.uint32)
    words[: first.streams, : first.tail.words.shape[1]] = first.tail.words
    words[first.streams :, : second.tail.words.shape[1]] = second.tail.words
    length = np.concatenate([part.length for part in parts])
    return Message(np.concatenate([first.head, second.head]), _Tail(words, length), 0)


# --- codecs -------------------------------------------------------------------------------------

T = TypeVar("T")


@dataclass(frozen=True)
class Codec(Generic[T]):
    """A pair of functions that undo each other: ``pop(push(message, x)) == (message, x)``."""

    push: Callable[[Message, T], Message]
    pop: Callable[[Message], tuple[Message, T]]


def intervals(
    count: int,
    precision: int,
    interval: Callable[[NDArray[np.int64], slice], tuple[U64, U64]],
    find: Callable[[U64, slice], NDArray[np.int64]],
) -> Codec[NDArray[np.int64]]:
    """A codec of ``count`` symbols a stream, (streams, count) int64, however many lanes there are.

    ``interval(x, part)`` gives start and length of the symbols of the columns ``part``;
    ``find(points, part)`` gives the symbols whose intervals hold the points.
    """

    def parts(message: Message) -> list[slice]:
        lanes = message.lanes
        return [slice(i, min(i + lanes, count)) for i in range(0, count, lanes)]

    def push_all(message: Message, x: NDArray[np.int64]) -> Message:
        start, length = interval(x, slice(None))
        for part in parts(message):
            message = push(message, start[:, part], length[:, part], precision)
        return message

    def pop_all(message: Message) -> tuple[Message, NDArray[np.int64]]:
        x = np.empty((message.streams, count), dtype=np.int64)
        for part in reversed(parts(message)):
            x[:, part] = find(peek(message, part.stop - part.start, precision), part)
            message = drop(message, *interval(x[:, part], part), precision)
        return message, x

    return Codec(push_all, pop_all)


def table_codec(
    frequency: NDArray[np.integer], count: int, precision: int
) -> Codec[NDArray[np.int64]]:
    """One fixed distribution for all symbols: ``frequency`` (K,) sums to ``2**precision``."""
    assert int(frequency.sum()) == 1 << precision and frequency.min() >= 0
    cumulative = np.concatenate([[0], np.cumsum(frequency)]).astype(np.uint64)

    def interval(x: NDArray[np.int64], part: slice) -> tuple[U64, U64]:
        return cumulative[x], cumulative[x + 1] - cumulative[x]

    def find(point: U64, part: slice) -> NDArray[np.int64]:
        return np.searchsorted(cumulative, point, side="right").astype(np.int64) - 1

    return intervals(count, precision, interval, find)
