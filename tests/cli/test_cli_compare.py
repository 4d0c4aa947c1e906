"""``drrpack compare`` as people give it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Command
from PIL import Image

pytestmark = pytest.mark.usefixtures("one_thread")


def test_table_and_verdict(
    drrpack: Command, digits_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    chart = tmp_path / "chart.png"
    options = ("--codec", digits_drr, "--sample", "20", "--budget-mb", "1", "--chart", chart)
    done = drrpack("compare", digits_folder, *options)
    assert done.code == 0, done.errors
    for part in ("JPEG q20", "WebP q5", "DRR q100", "DRR thin q100", "300 images of 32x32"):
        assert part in done.output, part
    assert "wins by PSNR" in done.output and "within 1 MB of raw" in done.output
    with Image.open(chart) as picture:
        assert picture.format == "PNG" and picture.width > 600


def test_json(drrpack: Command, digits_drr: Path, digits_folder: Path) -> None:
    options = ("--codec", digits_drr, "--sample", "20", "--classes", "3:5", "--json")
    training = ("--train", "--epochs", "1", "--width", "2")
    done = drrpack("compare", digits_folder, *options, *training)
    assert done.code == 0, done.errors
    found = json.loads(done.output)
    assert found["images"] == 60 and found["sample"] == 20
    trained = [choice for choice in found["choices"] if choice["accuracy"] is not None]
    assert {"raw", "DRR", "JPEG"} <= {choice["family"] for choice in trained}


def test_sizes_that_are_none(drrpack: Command, digits_drr: Path, digits_folder: Path) -> None:
    start = ("compare", digits_folder, "--codec", digits_drr, "--train", "--sample", "20")
    for sizes in ("60,x", "0", "nan", "-5"):
        drrpack.refused(*start, "--train-at", sizes, naming=("--train-at", sizes))


def test_no_test_images(drrpack: Command, digits_drr: Path, digits_folder: Path) -> None:
    done = drrpack(
        "compare", digits_folder / "train", "--codec", digits_drr, "--sample", "20", "--train"
    )
    assert done.code != 0 and "found no test split" in done.errors
