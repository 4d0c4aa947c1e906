"""Tables of code frequencies, which alone code the first images of a stream."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codes import Codes, Levels
from drrpack.core.errors import CorruptError
from drrpack.core.probability import exp2_table

TABLE_PRECISION = 16  # bits of a frequency
_STEP = 4  # of a coarse frequency, in sixteenths of a bit
_STEPS = 64  # from the largest down
Frequencies = NDArray[
    np.uint32
]  # of each code, (codebook_size,); they add up to 2**TABLE_PRECISION
Tables = Levels[Frequencies]


def frequency_tables(codes: Codes, size: int) -> Tables:
    """The table of each level."""
    return tables_of_all([codes], size)


def tables_of_all(parts: Iterable[Codes], size: int, weight: int = 1) -> Tables:
    """The table of each level, of many images; one part of them is looked at at a time.

    A code that occurs counts ``weight`` times as much as all those that might. With a large weight
    the codes themselves take fewer bits, and others more.
    """
    top, bottom = np.zeros((2, size), dtype=np.int64)
    for codes in parts:
        top += _counts(codes.top, size)
        bottom += _counts(codes.bottom, size)
    return Levels(_table(weight * top), _table(weight * bottom))


def _counts(codes: NDArray[np.integer], size: int) -> NDArray[np.int64]:
    return np.bincount(codes.reshape(-1), minlength=size).astype(np.int64)


def _table(counts: NDArray[np.int64]) -> Frequencies:
    counts = counts + 1
    room = (1 << TABLE_PRECISION) - len(counts)
    table = 1 + counts * room // counts.sum()
    table[np.argmax(table)] += (1 << TABLE_PRECISION) - table.sum()
    frequencies: Frequencies = table.astype(np.uint32)
    return frequencies


def tables_to_bytes(tables: Tables) -> bytes:
    """Both tables, the top's first, 16 bits a frequency."""
    return b"".join(table.astype("<u2").tobytes() for table in (tables.top, tables.bottom))


def tables_from_bytes(data: bytes, size: int) -> Tables:
    """The inverse of `tables_to_bytes` for codebooks of ``size`` codes.

    Raises:
        CorruptError: the data has another length, or a table does not add up.
    """
    if len(data) != 4 * size:
        raise CorruptError(f"found {len(data)} bytes of frequency tables, expected {4 * size}")
    both = np.frombuffer(data, "<u2").astype(np.uint32).reshape(2, size)
    if both.min() < 1 or (both.sum(1) != 1 << TABLE_PRECISION).any():
        raise CorruptError("a frequency table of the entropy model does not add up")
    return Levels(both[0], both[1])


def coarse(table: Frequencies) -> NDArray[np.int64]:
    """Frequencies (K,) in quarters of a bit below the largest, 0 to 64: a few hundred bytes packed.

    A code takes 0.002 bits more by `from_coarse` of them than by the table.
    """
    steps: NDArray[np.int64] = np.rint(np.log2(table.max() / table) * 16 / _STEP).astype(np.int64)
    return steps.clip(0, _STEPS)


def from_coarse(steps: NDArray[np.integer]) -> Frequencies:
    """A table of the frequencies that `coarse` has told of.

    Raises:
        CorruptError: a step is out of range.
    """
    if len(steps) == 0 or steps.min() < 0 or steps.max() > _STEPS:
        raise CorruptError("a frequency table of the entropy model has steps out of range")
    weights = exp2_table()[_STEP * steps.astype(np.int64)].astype(np.int64)
    return _table(weights)
