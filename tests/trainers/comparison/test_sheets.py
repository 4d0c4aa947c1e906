"""Tiling is undone by cutting, tiles keep whole blocks to themselves, and no sheet is too large."""

from __future__ import annotations

import numpy as np
import pytest

from drrpack.trainers.comparison import sheets


def noise(count: int, height: int, width: int) -> np.ndarray:
    shape = (count, height, width, 3)
    return np.random.default_rng(count).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("count", "height", "width"),
    [(1, 32, 32), (2, 32, 32), (500, 32, 32), (7, 28, 28), (10, 11, 45), (130, 224, 17)],
)
def test_cutting_undoes_tiling(count: int, height: int, width: int) -> None:
    images = noise(count, height, width)
    picture = sheets.tile(images)
    rows, columns = picture.shape[:2]
    assert rows % sheets.BLOCK == 0 and columns % sheets.BLOCK == 0
    assert max(rows, columns) <= sheets.SIDE
    np.testing.assert_array_equal(sheets.cut(picture, count, (height, width)), images)


def test_the_grid_is_near_a_square_and_hardly_empty() -> None:
    picture = sheets.tile(noise(500, 32, 32))
    assert picture.shape == (23 * 32, 22 * 32, 3)
    assert (picture[-32:, -6 * 32 :] == sheets.GREY).all(), "six cells are left over"


def test_tiles_end_with_their_own_borders() -> None:
    images = noise(4, 20, 20)
    picture = sheets.tile(images)  # 2 x 2 tiles of 32 x 32
    assert picture.shape == (64, 64, 3)
    np.testing.assert_array_equal(picture[5, 20:32], np.repeat(images[0][5, -1:], 12, axis=0))
    np.testing.assert_array_equal(picture[20:32, 40], np.repeat(images[1][-1:, 8], 12, axis=0))


def test_large_classes_have_several_sheets() -> None:
    assert sheets.capacity((32, 32)) == 64 * 64 and sheets.capacity((224, 224)) == 81
    classes = [noise(100, 224, 224), noise(5, 224, 224)]
    parts = list(sheets.sheets_of(classes))
    assert [len(part) for part in parts] == [50, 50, 5]
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(classes))


def test_an_image_beyond_the_side_stands_alone() -> None:
    images = np.zeros((3, 16, sheets.SIDE + 1, 3), np.uint8)
    assert sheets.capacity((sheets.SIDE, sheets.SIDE + 1)) == 1
    picture = sheets.tile(images)
    assert picture.shape == (48, sheets.SIDE + sheets.BLOCK, 3)
    np.testing.assert_array_equal(sheets.cut(picture, 3, images.shape[1:3]), images)
