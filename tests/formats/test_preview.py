"""The picture of a memory: reconstructions and originals, pixel by pixel in their place."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drr_files import read_all
from numpy.typing import NDArray
from PIL import Image

from drrpack import DRRDataset, SourceError
from drrpack.core.errors import OptionError, OutputError
from drrpack.formats.container import write
from drrpack.formats.originals import remember
from drrpack.formats.preview import CELL_SIDE, GAP, LABEL_WIDTH, preview_grid, save_picture
from drrpack.formats.sources.source import open_source

pytestmark = pytest.mark.usefixtures("one_thread")

FACTOR = CELL_SIDE // 32
CELL = 32 * FACTOR + 2  # an image enlarged, and its margin


@pytest.fixture(scope="module")
def dataset(digits_drr: Path) -> DRRDataset:
    return DRRDataset(digits_drr).preload()


def cell(grid: NDArray[np.uint8], line: int, column: int, per_class: int) -> NDArray[np.uint8]:
    """The enlarged image in one line of cells; a class has ``per_class`` lines."""
    row, part = divmod(line, per_class)
    y = GAP + row * (per_class * CELL + GAP) + part * CELL
    x = LABEL_WIDTH + column * CELL
    return grid[y : y + CELL - 2, x : x + CELL - 2]


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image.repeat(FACTOR, 0).repeat(FACTOR, 1)


def test_reconstructions_and_originals(dataset: DRRDataset, digits_folder: Path) -> None:
    picture, note = preview_grid(dataset, rows=3, columns=4)
    assert str(digits_folder) in note and "originals (above)" in note
    assert picture.size == (LABEL_WIDTH + 4 * CELL + GAP, GAP + 3 * (2 * CELL + GAP))
    grid, source = np.asarray(picture), open_source(digits_folder)
    for row, label in enumerate((0, 4, 9)):
        for column, place in enumerate((0, 9, 19, 29)):
            raw = source.load(label)[place]
            np.testing.assert_array_equal(cell(grid, 2 * row, column, 2), enlarged(raw))
            decoded = dataset.pixels([30 * label + place])[0]
            np.testing.assert_array_equal(cell(grid, 2 * row + 1, column, 2), enlarged(decoded))


def test_more_is_asked_for_than_there_is(dataset: DRRDataset) -> None:
    picture, _ = preview_grid(dataset, rows=50, columns=50)
    assert picture.size == (LABEL_WIDTH + 30 * CELL + GAP, GAP + 10 * (2 * CELL + GAP))


def test_the_source_is_gone(own_drr: Path, digits_folder: Path, tmp_path: Path) -> None:
    gone = Path(shutil.copytree(digits_folder, tmp_path / "gone"))
    remember(open_source(gone))
    shutil.rmtree(gone)
    dataset = DRRDataset(own_drr)
    picture, note = preview_grid(dataset, rows=2, columns=2)
    assert note.startswith("reconstructions only") and str(tmp_path / "gone") in note
    assert picture.size == (LABEL_WIDTH + 2 * CELL + GAP, GAP + 2 * (CELL + GAP))
    decoded = dataset.pixels([270])[0]
    np.testing.assert_array_equal(cell(np.asarray(picture), 1, 0, 1), enlarged(decoded))
    _, note = preview_grid(dataset, digits_folder, rows=2, columns=2)
    assert "originals (above)" in note


def test_a_wrong_source(dataset: DRRDataset, digits_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(digits_folder, other)
    next((other / "train" / "0").iterdir()).unlink()
    with pytest.raises(SourceError, match="not those") as caught:
        preview_grid(dataset, other)
    assert str(other) in str(caught.value)
    with pytest.raises(SourceError, match="no such folder"):
        preview_grid(dataset, tmp_path / "absent")


def test_some_classes_with_their_own_originals(digits_drr: Path, digits_folder: Path) -> None:
    dataset = DRRDataset(digits_drr, classes=["6", "2"])
    grid = np.asarray(preview_grid(dataset, rows=2, columns=2)[0])
    source = open_source(digits_folder)
    for row, number in enumerate((6, 2)):
        np.testing.assert_array_equal(cell(grid, 2 * row, 0, 2), enlarged(source.load(number)[0]))


def test_a_class_without_images(own_drr: Path) -> None:
    content = read_all(own_drr)
    write(own_drr, replace(content, chunks=content.chunks[4:5], metadata={}), overwrite=True)
    picture, _ = preview_grid(DRRDataset(own_drr), columns=3)
    assert picture.size == (LABEL_WIDTH + 3 * CELL + GAP, GAP + CELL + GAP)
    write(own_drr, replace(content, chunks=[]), overwrite=True)
    assert preview_grid(DRRDataset(own_drr))[0].height == GAP


@pytest.mark.parametrize(("end", "longest"), [("webp", 16_383), ("jpg", 65_500), ("JPEG", 65_500)])
def test_pictures_too_large_for_their_format(tmp_path: Path, end: str, longest: int) -> None:
    path = tmp_path / f"grid.{end}"
    for size in ((longest + 1, 2), (2, longest + 1)):
        with pytest.raises(OptionError, match=rf"{longest} at most.*\.png") as caught:
            save_picture(Image.new("RGB", size), path)
        assert f"{path}: the picture has {size[0]}x{size[1]} pixels" in str(caught.value)
    assert not list(tmp_path.iterdir())
    save_picture(Image.new("RGB", (longest, 2)), path)
    save_picture(Image.new("RGB", (longest + 1, 2)), tmp_path / "grid.png")
    for written in tmp_path.iterdir():
        with Image.open(written) as picture:
            picture.load()


def test_an_encoder_that_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("encoding error 6")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match="encoding error 6") as caught:
        save_picture(Image.new("RGB", (2, 2)), tmp_path / "grid.webp")
    assert str(tmp_path / "grid.webp") in str(caught.value) and not list(tmp_path.iterdir())


def test_a_name_that_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="end the picture's name in"):
        save_picture(Image.new("RGB", (2, 2)), tmp_path / "grid.txt")
