"""``drrpack compare`` as people give it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command import Command
from PIL import Image

from drrpack.core.errors import WriteError
from drrpack.trainers.comparison.accuracy import TrainPlan

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


def test_json(drrpack: Command, bitswap_drr: Path, digits_folder: Path) -> None:
    options = ("--codec", bitswap_drr, "--sample", "20", "--classes", "3:5", "--json")
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


def test_help_tells_the_defaults(drrpack: Command) -> None:
    told = " ".join(drrpack("compare", "--help").output.replace("│", " ").split())
    plan = TrainPlan(torch.device("cpu"))
    for words in (
        f"Epochs of each classifier; {plan.epochs} by default",
        f"first block of the classifier; {plan.width} by default",
        f"train for each format; {plan.seeds} by default",
        f"train on each; {plan.draws} by default",
    ):
        assert words in told


@pytest.fixture
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr("drrpack.trainers.comparison.compare.compare", measured)


@pytest.mark.usefixtures("no_measuring")
def test_what_is_refused_before_anything_is_measured(
    drrpack: Command, digits_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    def refused(*options: str | Path, naming: tuple[str | Path, ...]) -> None:
        drrpack.refused("compare", digits_folder, "--codec", digits_drr, *options, naming=naming)

    for megabytes in ("nan", "inf", "-1", "0", "1e305"):
        wanted = f"--budget-mb {float(megabytes):g}"
        refused(f"--budget-mb={megabytes}", naming=(wanted, "megabytes above 0"))
    chart = tmp_path / "absent" / "chart.png"
    refused("--chart", chart, "--json", naming=(chart, "create it first"))
    refused("--chart", tmp_path, naming=(tmp_path, "is a folder"))
    (tmp_path / "notes").touch()
    refused("--work", tmp_path / "notes", naming=("--work", "found no --train"))
    notes = (tmp_path / "notes", "can't be made")
    refused("--train", "--work", tmp_path / "notes", naming=notes)
    refused("--train", "--classes", "name:3", naming=("--train", "two classes"))
    split = digits_folder / "train"
    start = ("compare", split, "--codec", digits_drr, "--train")
    drrpack.refused(*start, naming=(split, "found no test split"))


def test_figures_are_printed_where_drawing_fails(
    drrpack: Command,
    bitswap_drr: Path,
    digits_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise WriteError("the disk is full")

    monkeypatch.setattr("drrpack.trainers.comparison.chart.write_atomic", full)
    options = ("--codec", bitswap_drr, "--sample", "20", "--classes", "2", "--json")
    done = drrpack("compare", digits_folder, *options, "--chart", tmp_path / "chart.png")
    assert done.code == 6 and "error: the disk is full" in done.errors
    assert json.loads(done.output)["images"] == 30
