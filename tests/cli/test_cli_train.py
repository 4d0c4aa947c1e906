"""``drrpack train``: whole small runs, what they leave, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from command import Command, without_progress
from PIL import Image

from drrpack.cli.train import numbers
from drrpack.core.errors import OptionError
from drrpack.formats.originals import remember
from drrpack.formats.sources.source import open_source

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits_drr(context_drr: Path) -> Path:
    """By a codec of a few kilobytes, as nothing here is about the codec."""
    return context_drr


TINY = ("--epochs", "1", "--width", "4", "--device", "cpu")


def result(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return content


@pytest.fixture(scope="module")
def finished(digits_drr: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run of five classes and five phases, and what the command printed."""
    import subprocess
    import sys

    place = tmp_path_factory.mktemp("train")
    root = Path(__file__).resolve().parents[2]
    options = ["train", digits_drr, "--base", "5", "--phases", "5", "--out", "run", *TINY]
    command = [sys.executable, "-m", "drrpack", *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert without_progress(done.stderr) == ""
    return place / "run", done.stdout


def test_the_result(finished: tuple[Path, str], digits_drr: Path) -> None:
    content = result(finished[0])
    wanted = {
        "method", "recipe", "seed", "class_order", "phases", "average_accuracy",
        "average_accuracy_with_base", "last_accuracy", "forgetting", "memory_bytes",
    }  # fmt: skip
    assert wanted <= set(content)
    assert (content["method"], content["recipe"], content["seed"]) == ("drr", "fast", 0)
    assert content["class_order"] == list(range(10)) and content["complete"]
    phases = content["phases"]
    assert [phase["phase"] for phase in phases] == [0, 1, 2, 3, 4, 5]
    assert [phase["classes_seen"] for phase in phases] == [5, 6, 7, 8, 9, 10]
    accuracies = [phase["accuracy"] for phase in phases]
    assert all(0 <= accuracy <= 100 for accuracy in accuracies)
    assert content["last_accuracy"] == accuracies[-1]
    assert content["average_accuracy"] == pytest.approx(sum(accuracies[1:]) / 5)
    assert content["average_accuracy_with_base"] == pytest.approx(sum(accuracies) / 6)
    total = content["memory_bytes"].pop("total")
    assert total == sum(content["memory_bytes"].values()) == os.path.getsize(digits_drr)


def test_the_ceiling_stands_beside_it(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    ceiling = result(folder / "ub")
    assert ceiling["method"] == "ub" and len(ceiling["phases"]) == 6
    assert ceiling["memory_bytes"]["raw_images"] == 300 * 32 * 32 * 3
    assert "price of compression" in printed and "result: run/result.json" in printed


def test_the_plot(finished: tuple[Path, str]) -> None:
    with Image.open(finished[0] / "accuracy.png") as picture:
        picture.load()
        assert picture.format == "PNG" and min(picture.size) > 200


def test_resuming_a_finished_run(
    drrpack: Command, finished: tuple[Path, str], digits_drr: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished[0], tmp_path / "run"))
    before = result(folder), result(folder / "ub")
    command = ("train", digits_drr, "--base", "5", "--phases", "5", "--out", folder)
    drrpack.refused(*command, *TINY, naming=(folder, "already holds a run"))
    drrpack.refused(*command, *TINY, "--resume", "--seed", "1", naming=("seed was 0",))
    newest = max((folder / "phases").iterdir(), key=lambda path: path.name)
    newest.unlink()
    done = drrpack(*command, *TINY, "--resume")
    assert done.code == 0, done.errors
    for one, two in zip(before, (result(folder), result(folder / "ub")), strict=True):
        same = [phase["accuracy"] for phase in one["phases"]]
        assert same == [phase["accuracy"] for phase in two["phases"]]


def test_some_classes_in_another_order(drrpack: Command, digits_drr: Path, tmp_path: Path) -> None:
    order = tmp_path / "order.json"
    order.write_text(json.dumps(["5", "3", "4", "2"]))
    start = ("train", digits_drr, "--base", "2", "--phases", "1", "--no-ceiling", *TINY)
    by_place = ("--classes", "2:6", "--class-order", order, "--out", tmp_path / "a")
    assert drrpack(*start, *by_place).code == 0
    content = result(tmp_path / "a")
    assert content["class_order"] == [3, 1, 2, 0] and content["config"]["classes"] == list("2345")
    assert not (tmp_path / "a" / "ub").exists()
    by_name = ("--classes", "9,0", "--class-order", "7", "--out", tmp_path / "b", "--base", "1")
    assert drrpack(*start, *by_name).code == 0
    content = result(tmp_path / "b")
    assert content["config"]["classes"] == ["9", "0"] and sorted(content["class_order"]) == [0, 1]
    assert content["memory_bytes"]["total"] < os.path.getsize(digits_drr)


def test_several_runs_and_their_page(drrpack: Command, digits_drr: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "study", tmp_path / "page.html"
    options = ("--classes", "0:6", "--base", "2", "--phases", "1,2", "--seeds", "2", *TINY)
    done = drrpack("train", digits_drr, "--out", out, *options, "--test-view", "both")
    assert done.code == 0, done.errors
    assert len(list(out.glob("*/result.json"))) == 8
    rows = json.loads((out / "summary.json").read_text())["rows"]
    assert {(row["method"], row["phases"], row["seeds"]) for row in rows} == {
        (method, phases, 2) for method in ("drr", "ub") for phases in (1, 2)
    }
    assert "went through the codec" in done.output and "±" in done.output
    done = drrpack("report", out, "-o", page, "--memory", digits_drr)
    assert done.code == 0 and "8 runs" in done.output
    assert page.read_text("utf-8").count("<svg") == 3
    picture = tmp_path / "curves.png"
    assert drrpack("report", out, "-o", picture).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    nowhere = tmp_path / "no" / "such"
    words = (f"{nowhere / 'page.html'}: there is no folder {nowhere}", "create it first")
    for run in (out, tmp_path / "absent"):  # said before anything is read
        drrpack.refused("report", run, "-o", nowhere / "page.html", naming=words)
    drrpack.refused("report", tmp_path / "absent", naming=(tmp_path / "absent",))


def test_a_page_replaces_an_earlier_one_alone(
    drrpack: Command, digits_drr: Path, tmp_path: Path
) -> None:
    out, notes = tmp_path / "run", b"<html><title>my notes on drrpack report</title>"
    options = ("--classes", "0:2", "--base", "1", "--phases", "1", "--no-ceiling", *TINY)
    assert drrpack("train", digits_drr, "--out", out, *options).code == 0
    for name in ("page.html", "curves.png"):
        page = tmp_path / name
        assert drrpack("report", out, "-o", page).code == 0
        written = page.stat().st_mtime_ns
        assert drrpack("report", out, "-o", page).code == 0, "its own is made anew"
        assert page.stat().st_mtime_ns > written
        page.write_bytes(notes)
        drrpack.refused("report", out, "-o", page, naming=(page, "exists already", "--force"))
        assert page.read_bytes() == notes
        assert drrpack("report", out, "-o", page, "--force").code == 0
        assert page.read_bytes() != notes
    assert drrpack("report", out, "-o", out / "accuracy.png").code == 0, "as `train` left it"


def test_half_of_the_memory(drrpack: Command, digits_drr: Path, tmp_path: Path) -> None:
    options = ("--classes", "0:4", "--base", "2", "--phases", "1", "--no-ceiling", *TINY)
    megabytes = os.path.getsize(digits_drr) / 1e6
    kept = []
    for share in (0.99, 2):
        budget = ("--budget-mb", f"{share * megabytes:.6f}", "--out", tmp_path / str(share))
        done = drrpack("train", digits_drr, *options, *budget)
        assert done.code == 0, done.errors
        kept.append(result(tmp_path / str(share))["memory_bytes"])
        assert kept[-1]["total"] <= share * megabytes * 1e6
    assert 0 < kept[0]["payload"] <= kept[1]["payload"]


def test_without_the_source(
    drrpack: Command, digits_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "away"
    place.mkdir()
    moved, test = place / "digits", Path(shutil.copytree(digits_folder / "test", place / "test"))
    options = ("--classes", "0:2", "--base", "1", "--phases", "1", *TINY)
    remember(open_source(digits_folder))
    digits_folder.rename(moved)
    try:
        start = ("train", digits_drr, *options, "--out")
        drrpack.refused(*start, tmp_path / "a", naming=(digits_folder, "--test DIR"))
        done = drrpack(*start, tmp_path / "b", "--test", test)
        assert done.code == 0 and "no ceiling" in done.errors
        raw = ("--test", test, "--method", "ub")
        drrpack.refused(*start, tmp_path / "c", *raw, naming=("--source DIR",))
        assert drrpack(*start, tmp_path / "d", "--source", moved).code == 0
        assert (tmp_path / "d" / "ub" / "result.json").is_file()
    finally:
        moved.rename(digits_folder)


@pytest.mark.parametrize(
    ("options", "naming"),
    [
        (["--phases", "4"], ["phases", "what works"]),
        (["--base", "11"], ["base", "1 to 10"]),
        (["--classes", "5:11"], ["--classes 5:11", "10 classes"]),
        (["--classes", "cat"], ["--classes cat", "'cat'"]),
        (["--class-order", "absent.json"], ["--class-order absent.json"]),
        (["--method", "magic"], ["'magic'", "drr, drr-soft, er, er-jpeg"]),
        (["--set", "similarity_weight"], ["--set similarity_weight", "NAME=VALUE"]),
        (["--set", "temperature=2"], ["'drr' has no option 'temperature'", "it has none"]),
        (["--method", "ib-drr"], ["--raw-per-class 20", "ib-drr-star"]),
        (["--budget-mb", "0.001"], ["--budget-mb 0.001", "too little"]),
        (["--phases", "5,x"], ["--phases 5,x"]),
        (["--test-view", "codec"], ["'codec'", "raw, both"]),
        (["--recipe", "secret"], ["'secret'", "fast"]),
        (["--epochs", "0"], ["epochs"]),
        (["--device", "abacus"], ["--device abacus"]),
        (["--test", "absent"], ["absent", "no such folder"]),
    ],
)
def test_refusals(
    drrpack: Command, digits_drr: Path, tmp_path: Path, options: list[str], naming: list[str]
) -> None:
    start = ("train", digits_drr, "--out", tmp_path / "run", "--phases", "5")
    drrpack.refused(*start, *options, naming=tuple(naming))
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize("text", ["", "5,", "5,x", "-5", "5,5", "5.0"])
def test_lists_of_numbers(text: str) -> None:
    with pytest.raises(OptionError, match="--phases"):
        numbers(text, "--phases")
    assert numbers("5, 10,25", "--phases") == [5, 10, 25]


def test_no_memory(drrpack: Command, tmp_path: Path) -> None:
    drrpack.refused("train", tmp_path / "absent.drr", naming=(tmp_path / "absent.drr",))


def test_a_folder_with_other_things(drrpack: Command, digits_drr: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    start = ("train", digits_drr, "--phases", "5", "--out", tmp_path)
    drrpack.refused(*start, naming=(tmp_path, "notes.txt"))
