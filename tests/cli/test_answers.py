"""``--quiet`` and ``--json``: what a script gets of each command, and on which stream."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import typer
from command import Command
from rich.console import Console

from drrpack.cli.app import app
from drrpack.cli.places import memories
from drrpack.cli.progress_lines import Lines
from drrpack.formats.container import Reader


def test_every_command_has_both() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        options = {spelling for one in command.params for spelling in one.opts}
        assert {"--quiet", "-q", "--json"} <= options, name


def test_json_stands_alone_on_stdout(drrpack: Command, own_drr: Path) -> None:
    with Reader(own_drr) as reader:
        first, *rest = reader.classes
    done = drrpack("drop", own_drr, first, "--json")
    found = json.loads(done.output)
    assert found["classes"] == len(rest) and found["file_bytes"] == own_drr.stat().st_size
    assert f"{len(rest)} class" in done.errors
    quiet = drrpack("drop", own_drr, rest[0], "--json", "--quiet")
    assert json.loads(quiet.output)["classes"] == len(rest) - 1 and quiet.errors == ""


def test_quiet_leaves_the_path_and_errors(drrpack: Command, own_drr: Path, tmp_path: Path) -> None:
    done = drrpack("export", own_drr, tmp_path / "images", "--quiet")
    assert (done.output, done.errors) == (f"{tmp_path / 'images'}\n", "")
    assert drrpack("verify", own_drr, "-q").output == ""
    drrpack.refused("export", own_drr, tmp_path / "images", "-q", naming=(tmp_path / "images",))
    assert "sound" in drrpack("verify", own_drr).output  # the next command is as loud as ever


def test_progress_in_a_log(drrpack: Command, own_drr: Path, tmp_path: Path) -> None:
    done = drrpack("export", own_drr, tmp_path / "images")
    assert "100%" in done.errors and "100%" not in done.output


def test_lines_come_now_and_then() -> None:
    """In 100 steps of a second each: none before 10 seconds, none before a tenth."""
    printed, seconds = io.StringIO(), 0.0
    lines = Lines(Console(file=printed, width=80), clock=lambda: seconds)
    for step in range(100):
        seconds += 1
        lines.move("slow", step / 100, f"{step}", "all")
    for step in range(100):
        seconds += 0.01
        lines.move("fast", step / 100, f"{step}", "all")
    lines.complete()
    said = printed.getvalue().splitlines()
    assert [line.split()[:2] for line in said[:2]] == [["slow", "10%"], ["slow", "20%"]]
    assert len([line for line in said if line.startswith("slow")]) == 10
    assert [line.split() for line in said[-1:]] == [["fast", "100%", "all"]]
    assert len([line for line in said if line.startswith("fast")]) == 1


def test_names_of_memories_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("digits.drr", "digits.txt", "data/one.drr"):
        (tmp_path / name).touch()
    assert memories("di") == ["digits.drr"]
    assert memories("data/") == ["data/one.drr"] and memories("nowhere/x") == []
    assert memories("da") == ["data/"]
    monkeypatch.setenv("_DRRPACK_COMPLETE", "complete_bash")
    assert memories("da") == []
