"""Tables of code frequencies, which alone code the first images of a stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drrpack.core.codes import Codes, Levels
from drrpack.core.errors import CorruptError

TABLE_PRECISION = 16  # bits of a frequency
Frequencies = NDArray[
    np.uint32
]  # of each code, (codebook_size,); they add up to 2**TABLE_PRECISION
Tables = Levels[Frequencies]


def frequency_table(codes: NDArray[np.integer], size: int) -> Frequencies:
    """Frequencies (size,) of codes: at least 1 each, ``2**TABLE_PRECISION`` in all."""
    counts = np.bincount(codes.reshape(-1), minlength=size).astype(np.int64) + 1
    room = (1 << TABLE_PRECISION) - size
    table = 1 + counts * room // counts.sum()
    table[np.argmax(table)] += (1 << TABLE_PRECISION) - table.sum()
    frequencies: Frequencies = table.astype(np.uint32)
    return frequencies


def frequency_tables(codes: Codes, size: int) -> Tables:
    """The table of each level."""
    return Levels(frequency_table(codes.top, size), frequency_table(codes.bottom, size))


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
