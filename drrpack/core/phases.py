"""The order in which the codes of a grid are coded: phase by phase, from coarse to fine.

A grid is divided into cells of ``side`` x ``side`` positions. Positions at the same place in their
cells form a phase. All codes of a phase are coded at once, conditioned on all earlier phases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Grid = TypeVar("Grid", Tensor, NDArray[np.int64])

SIDES = (1, 2, 4, 8)
EVERY = slice(None)
_CORNERS = ((0, 0), (1, 1), (0, 1), (1, 0))


class Phases:
    """The phases of cells of one side, numbered in the order of coding."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.places = _places(side)  # (row, column) in the cell, for each phase
        self._cell = np.empty((side, side), dtype=np.int64)  # the other way round
        for number, place in enumerate(self.places):
            self._cell[place] = number

    def __len__(self) -> int:
        return len(self.places)

    def within(self, shape: Sequence[int]) -> list[int]:
        """The phases that have positions in a grid (H, W): a narrow one has but some of them."""
        height, width = shape
        places = enumerate(self.places)
        return [number for number, (row, column) in places if row < height and column < width]

    def grid(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """The phase of each position of a grid (H, W), int64."""
        height, width = shape
        cells = np.tile(self._cell, (-(-height // self.side), -(-width // self.side)))
        return torch.from_numpy(cells[:height, :width]).to(device)

    def part(self, grid: Grid, number: int) -> Grid:
        """The positions of a phase in grids (..., H, W)."""
        row, column = self.places[number]
        part: Grid = grid[..., row :: self.side, column :: self.side]
        return part

    def windows(self, grid: Tensor, number: int, reach: int, lines: slice = EVERY) -> Tensor:
        """Windows around the positions of a phase: grids (B, C, H, W) to (B * h * w, C * k * k)
        with k = ``2 * reach + 1``; zeros lie outside of the grid. ``lines`` are those of the h rows
        that are wanted."""
        if not reach:
            return self.part(grid, number)[..., lines, :].permute(0, 2, 3, 1).flatten(0, 2)
        first, end, _ = lines.indices(self.part(grid, number).shape[2])
        row, column = self.places[number]
        padded = F.pad(grid, (reach, reach, reach, reach))[..., row:, column:]
        padded = padded[..., first * self.side : (end - 1) * self.side + 2 * reach + 1, :]
        windows = F.unfold(padded, 2 * reach + 1, stride=self.side)  # (B, C * k * k, h * w)
        return windows.transpose(1, 2).flatten(0, 1)

    def neighbours(self, grid: Tensor, number: int, reach: int, lines: slice = EVERY) -> Tensor:
        """As `windows`, of grids (B, H, W) of integers: (B * h * w, k * k)."""
        row, column = self.places[number]
        size = 2 * reach + 1
        padded = F.pad(grid, (reach, reach, reach, reach))[:, row:, column:]
        windows = padded.unfold(1, size, self.side).unfold(2, size, self.side)  # (B, h, w, k, k)
        return windows[:, lines].reshape(-1, size * size)


def lines_of(places: slice, shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """The lines that hold some of the places of grids (B, h, w), which count on from grid to grid:
    grids, and the rows of these, from the row of the first place to that of the last."""
    _, height, width = shape
    line, end = places.start // width, -(-places.stop // width)
    while line < end:
        grid, row = divmod(line, height)
        whole = 0 if row else (end - line) // height
        rows = slice(row, min(height, row + end - line))
        yield slice(grid, grid + max(1, whole)), rows
        line += max(1, whole) * (rows.stop - rows.start)


def _places(side: int) -> tuple[tuple[int, int], ...]:
    """Even rows and columns come first, in the order of the half of the side, then their diagonal
    neighbours, then what lies between."""
    if side == 1:
        return ((0, 0),)
    coarse = _places(side // 2)
    return tuple((2 * row + r, 2 * column + c) for r, c in _CORNERS for row, column in coarse)
