"""Every position of a grid has one phase, and windows lie where they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drrpack.core.phases import SIDES, Phases

CPU = torch.device("cpu")
SHAPES = [(1, 1), (1, 6), (3, 5), (8, 8), (9, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", SIDES)
def test_each_position_has_one_phase(side: int, shape: tuple[int, int]) -> None:
    phases = Phases(side)
    grid = phases.grid(shape, CPU)
    assert grid.shape == shape and len(phases) == side * side
    assert phases.within(shape) == sorted(set(grid.flatten().tolist()))
    for number in phases.within(shape):
        part = phases.part(grid, number)
        assert (part == number).all() and part.numel() == (grid == number).sum()


def test_phases_go_from_coarse_to_fine() -> None:
    assert Phases(4).grid((4, 5), CPU).tolist() == [
        [0, 8, 2, 10, 0],
        [12, 4, 14, 6, 12],
        [3, 11, 1, 9, 3],
        [15, 7, 13, 5, 15],
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_windows_are_what_lies_around(side: int, shape: tuple[int, int], reach: int) -> None:
    phases, (height, width) = Phases(side), shape
    grid = torch.arange(1.0, 1 + 2 * 3 * height * width).reshape(2, 3, height, width)
    padded = np.zeros((2, 3, height + 2 * reach, width + 2 * reach))
    padded[:, :, reach : reach + height, reach : reach + width] = grid.numpy()
    size = 2 * reach + 1
    for number in phases.within(shape):
        row, column = phases.places[number]
        wanted = [
            padded[image, :, r : r + size, c : c + size].reshape(-1)
            for image in range(2)
            for r in range(row, height, side)
            for c in range(column, width, side)
        ]
        np.testing.assert_array_equal(phases.windows(grid, number, reach), np.stack(wanted))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_neighbours_are_windows_of_integers(side: int, shape: tuple[int, int], reach: int) -> None:
    phases = Phases(side)
    grid = torch.arange(1, 1 + 2 * shape[0] * shape[1]).reshape(2, *shape)
    for number in phases.within(shape):
        wanted = phases.windows(grid[:, None].double(), number, reach)
        assert torch.equal(phases.neighbours(grid, number, reach).double(), wanted)
