"""The packed codes of one class of a replay buffer, in blocks that are never written to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from drrpack.formats.replay.packing import Rows

BLOCK = 256  # rows of a block at most: 23 kB of images of 32x32


class ClassRows:
    """Rows (n, row_bytes) uint8 of one class, the oldest first.

    It does not change: what adds or removes rows returns another one, which shares all blocks but
    those that differ. So a change copies a few blocks, however many rows there are, and whoever
    holds the earlier one still has its rows.
    """

    def __init__(self, row_bytes: int, blocks: Sequence[Rows] = ()) -> None:
        self.row_bytes, self._blocks = row_bytes, tuple(blocks)
        self._ends = np.cumsum([len(block) for block in blocks], dtype=np.int64)

    @staticmethod
    def of(rows: Rows) -> ClassRows:
        """The rows of one array, copied."""
        starts = range(0, len(rows), BLOCK)
        return ClassRows(rows.shape[1], [rows[start : start + BLOCK].copy() for start in starts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._blocks else 0

    def __iter__(self) -> Iterator[Rows]:
        return chain.from_iterable(self._blocks)

    @property
    def nbytes(self) -> int:
        """What the rows take."""
        return len(self) * self.row_bytes

    def whole(self) -> Rows:
        """All rows as one array."""
        return np.concatenate([np.empty((0, self.row_bytes), np.uint8), *self._blocks])

    def at(self, places: NDArray[np.int64]) -> Rows:
        """The rows at some places, (len(places), row_bytes)."""
        found = np.empty((len(places), self.row_bytes), np.uint8)
        number, inside = split(places, self._ends)
        for each in np.unique(number):
            here = number == each
            found[here] = self._blocks[each][inside[here]]
        return found

    def with_row(self, row: Rows) -> ClassRows:
        """These rows and a newer one, (row_bytes,)."""
        full = not self._blocks or len(self._blocks[-1]) >= BLOCK
        kept, last = (self._blocks, []) if full else (self._blocks[:-1], [self._blocks[-1]])
        return ClassRows(self.row_bytes, [*kept, np.concatenate([*last, row[None]])])

    def without(self, places: NDArray[np.int64]) -> ClassRows:
        """All rows but those at some places."""
        number, inside = split(places, self._ends)
        blocks = [*self._blocks]
        for each in np.unique(number):
            blocks[each] = np.delete(blocks[each], inside[number == each], axis=0)
        return ClassRows(self.row_bytes, _joined(blocks))


def split(
    positions: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The part that each position lies in, and the place in it; ``ends`` are those of the parts."""
    number = np.searchsorted(ends, positions, side="right")
    starts = np.concatenate([[0], ends]).astype(np.int64)
    return number, positions - starts[number]


def _joined(blocks: Sequence[Rows]) -> list[Rows]:
    """The same rows, with neighbours in one block where they fit, so that blocks stay few."""
    groups, room = list[list[Rows]](), 0
    for block in blocks:
        if len(block) > room or not groups:
            groups.append([])
            room = BLOCK
        groups[-1].append(block)
        room -= len(block)
    joined = [group[0] if len(group) == 1 else np.concatenate(group) for group in groups]
    return [block for block in joined if len(block)]
