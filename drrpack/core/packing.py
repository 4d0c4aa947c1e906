"""Integer tensors as bytes: one ANS message, and a table of frequencies for each tensor.

Weights on a common grid, most of them near zero, take three to four bits each this way instead of
eight. The message has many lanes, so a million weights are read in a fraction of a second.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drrpack.core import ans
from drrpack.core.errors import CorruptError, MessageError

Integers = NDArray[np.int64]

PRECISION = 14  # of a table's frequencies
VALUES_MAX = 4096  # that a tensor's values may span
LANES_MAX = 512
VALUES_A_LANE = 256  # below that a lane's head weighs more than its speed is worth
# A table whose only value fills it makes a tensor of any size out of nothing.
VALUES_A_BYTE_MAX = 64
_ROUNDED_BITS = 2.0**-16  # a push may cost so much less: a head has 17 bits more than PRECISION
_BITS_OF_A_LANE = 64  # more than a lane's head can hold, of what the words do not


def pack(arrays: Sequence[NDArray[np.integer]]) -> bytes:
    """The values of several tensors, without their shapes.

    Raises:
        ValueError: the values of a tensor span more than `VALUES_MAX`, or do not fit 16 bits.
    """
    flat = [array.astype(np.int64).reshape(-1) for array in arrays]
    tables = [_Table.of(values) for values in flat]
    message = ans.empty(1, _lanes(sum(map(len, flat))))
    for values, table in zip(flat[::-1], tables[::-1], strict=True):
        message = table.codec(len(values)).push(message, values[None] - table.low)
    (words,) = ans.flatten(ans.narrow(message))
    return b"".join([*(table.to_bytes() for table in tables), words.astype("<u4").tobytes()])


def unpack(data: bytes, shapes: Sequence[tuple[int, ...]]) -> list[Integers]:
    """The inverse of `pack`: int64 arrays of these shapes.

    The models that were read last are remembered, because an operation reads those of one codec
    several times: where it plans, where it checks what it wrote, and for each of several files.

    Raises:
        CorruptError: the bytes are not those of tensors of these shapes.
    """
    return [array.astype(np.int64) for array in _unpack(data, tuple(shapes))]


@lru_cache(maxsize=4)  # two codecs of two models; 6 MB for 1.4 million weights
def _unpack(data: bytes, shapes: tuple[tuple[int, ...], ...]) -> list[NDArray[np.int32]]:
    counts = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
    if sum(counts) > VALUES_A_BYTE_MAX * len(data):
        raise CorruptError(f"{len(data)} bytes can't hold the {sum(counts)} weights of a model")
    tables = []
    for _ in shapes:
        table, data = _Table.read(data)
        tables.append(table)
    if len(data) % 4:
        raise CorruptError("the weights of a model do not end with a whole word")
    lanes = _lanes(sum(counts))
    least_bits = sum(table.least_bits(count) for table, count in zip(tables, counts, strict=True))
    if least_bits > 8 * len(data) + _BITS_OF_A_LANE * lanes:  # found out before room is made
        raise CorruptError(f"the weights of a model are truncated: {len(data)} bytes are left")
    arrays = []
    try:
        message = ans.unflatten([np.frombuffer(data, "<u4").astype(np.uint32)])
        message = ans.widen(message, lanes)
        for table, count, shape in zip(tables, counts, shapes, strict=True):
            message, values = table.codec(count).pop(message)
            arrays.append((values[0] + table.low).reshape(shape).astype(np.int32))
    except MessageError as error:
        raise CorruptError("the weights of a model are truncated or damaged") from error
    if message.tail_words.any() or (message.head != ans.HEAD_MIN).any():
        raise CorruptError("the weights of a model are more than its config asks for")
    return arrays


def _lanes(count: int) -> int:
    return max(1, min(LANES_MAX, count // VALUES_A_LANE))


class _Table:
    """The frequencies of the values ``low``, ``low + 1``, ...; they add up to ``2**PRECISION``."""

    def __init__(self, low: int, frequency: NDArray[np.int64]) -> None:
        self.low, self.frequency = low, frequency

    @staticmethod
    def of(values: Integers) -> _Table:
        if not len(values):
            return _Table(0, np.array([1 << PRECISION]))
        low, high = int(values.min()), int(values.max())
        if high - low >= VALUES_MAX or not -(2**15) <= low < 2**15:
            raise ValueError(f"weights from {low} to {high} can't be packed")
        counts = np.bincount(values - low)
        present = counts > 0
        room = (1 << PRECISION) - int(present.sum())
        frequency = present + counts * room // len(values)
        frequency[np.argmax(frequency)] += (1 << PRECISION) - frequency.sum()
        return _Table(low, frequency)

    def to_bytes(self) -> bytes:
        return (
            struct.pack("<hH", self.low, len(self.frequency))
            + self.frequency.astype("<u2").tobytes()
        )

    @staticmethod
    def read(data: bytes) -> tuple[_Table, bytes]:
        """The table that ``data`` starts with, and the rest."""
        if len(data) < 4:
            raise CorruptError("the weights of a model end within a table")
        low, count = struct.unpack_from("<hH", data)
        if not 1 <= count <= VALUES_MAX or len(data) < 4 + 2 * count:
            raise CorruptError(f"a table of the weights of a model has {count} values")
        frequency = np.frombuffer(data, "<u2", count, 4).astype(np.int64)
        if frequency.sum() != 1 << PRECISION:
            raise CorruptError("a table of the weights of a model does not add up")
        return _Table(low, frequency), data[4 + 2 * count :]

    def least_bits(self, count: int) -> int:
        """What ``count`` values take at the least: all of them the likeliest, and each rounded in
        their favour."""
        of_one = PRECISION - math.log2(int(self.frequency.max())) - _ROUNDED_BITS
        return int(count * max(0.0, of_one))

    def codec(self, count: int) -> ans.Codec[Integers]:
        return ans.table_codec(self.frequency, count, PRECISION)
