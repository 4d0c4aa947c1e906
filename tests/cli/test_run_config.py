"""`drrpack train --config`: options from a file, and the file that every run leaves."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from command import Command

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits_drr(context_drr: Path) -> Path:
    """By a codec of a few kilobytes, as nothing here is about the codec."""
    return context_drr


SMALL = ("--classes", "0:4", "--base", "2", "--epochs", "1", "--width", "2", "--no-ceiling")


def accuracies(folder: Path) -> list[float]:
    result = json.loads((folder / "result.json").read_text("utf-8"))
    return [phase["accuracy"] for phase in result["phases"]] + result["phases"][-1]["losses"]


def settings(folder: Path) -> Any:
    return json.loads((folder / "settings.json").read_text("utf-8"))


def test_a_run_leaves_a_file_that_repeats_it(
    drrpack: Command, digits_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(digits_drr.parent)
    options = ("--method", "ib-drr-star", "--set", "similarity_weight=0.5", "--class-order", "5")
    drrpack("train", digits_drr.name, *options, "--phases", "2", "--out", tmp_path / "one", *SMALL)
    left = tmp_path / "one" / "run.toml"
    monkeypatch.chdir(tmp_path)
    drrpack("train", "--config", left, "--out", "two")
    assert settings(tmp_path / "two") == settings(tmp_path / "one")
    assert accuracies(tmp_path / "two") == accuracies(tmp_path / "one")
    first, second = (tomllib.loads(path.read_text()) for path in (left, tmp_path / "two/run.toml"))
    assert second == first | {"out": str(tmp_path / "two")}
    assert first == {
        "memory": str(digits_drr), "out": str(tmp_path / "one"), "method": "ib-drr-star",
        "set": ["similarity_weight=0.5"], "phases": "2", "classes": "0:4", "base": 2, "epochs": 1,
        "width": 2, "ceiling": False, "class-order": "5",
    }  # fmt: skip


def test_the_command_line_goes_before_the_file(
    drrpack: Command, digits_drr: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'memory = "{digits_drr}"\nphases = [1, 2]\nbase = 2\nclasses = ["0", "1", "2", "3"]\n'
        "class_order = 5\nepochs = 1\nwidth = 2\nceiling = false\nseed = 3\n"
    )
    drrpack("train", "--config", config, "--seed", "4", "--out", tmp_path / "run")
    found = sorted(path.parent.name for path in (tmp_path / "run").glob("*/result.json"))
    assert found == ["drr-1phases-seed4", "drr-2phases-seed4"]
    assert settings(tmp_path / "run" / found[0])["classes"] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("epochz = 3", "config.toml: found 'epochz', expected options of this command: augm"),
        ("resume = true", "config.toml: found 'resume', expected options"),
        ("epochs = [", "config.toml: found no TOML"),
        ("[method]\nname = 'drr'", "config.toml: found a table 'method', expected a value"),
        ("epochs = 'many'", "--epochs"),
        (None, "config.toml: No such file or directory; give the path of a TOML file"),
    ],
)
def test_what_can_not_be_used_is_named(
    drrpack: Command, digits_drr: Path, tmp_path: Path, content: str | None, told: str
) -> None:
    config = tmp_path / "config.toml"
    if content is not None:
        config.write_text(content)
    out = tmp_path / "run"
    failed = drrpack("train", digits_drr, "--config", config, "--out", out)
    assert failed.code and told in " ".join(failed.errors.split()) and not out.exists()


def test_a_run_that_only_left_its_options_begins_anew(
    drrpack: Command, digits_drr: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.toml").write_text("# left by a run that was broken off\n")
    drrpack("train", digits_drr, "--phases", "1", "--out", tmp_path / "run", *SMALL)
    assert settings(tmp_path / "run")["phases"] == 1
