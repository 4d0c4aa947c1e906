"""Every command that writes a file tells of what an interrupted one has left beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_memory import GOLDEN_CONTEXT, write_digits

import drrpack
from drrpack.core.progress import Notice
from drrpack.operations.progress import Report

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of some digits, under names that the memory has not."""
    folder = write_digits(tmp_path_factory.mktemp("few") / "digits", train=2, test=1) / "train"
    for path in folder.iterdir():
        path.rename(folder / f"again {path.name}")
    return folder


def encode(output: Path, memory: Path, few: Path, report: Report) -> None:
    drrpack.encode(few, output, codec=GOLDEN_CONTEXT, force=True, report=report)


def append(output: Path, memory: Path, few: Path, report: Report) -> None:
    drrpack.append(output, few, keep_entropy_model=True, report=report)


def drop(output: Path, memory: Path, few: Path, report: Report) -> None:
    drrpack.drop(output, "0", report=report)


def merge(output: Path, memory: Path, few: Path, report: Report) -> None:
    drrpack.merge(memory, output, force=True, report=report)


def export(output: Path, memory: Path, few: Path, report: Report) -> None:
    output.unlink()  # it overwrites nothing
    drrpack.export(memory, output, "png", classes="0", report=report)


@pytest.mark.parametrize("work", [encode, append, drop, merge, export])
def test_each_names_the_folders(
    work: Callable[[Path, Path, Path, Report], None], context_drr: Path, few: Path, tmp_path: Path
) -> None:
    output, told = Path(shutil.copy(context_drr, tmp_path / "mem.drr")), list[str]()
    parts, fit = (tmp_path / f".mem.drr.{ending}" for ending in ("parts", "fit"))
    for folder in (parts, fit):
        folder.mkdir()
        (folder / "of another command").touch()

    def report(event: object) -> None:
        if isinstance(event, Notice) and "interrupted" in event.text:
            told.append(event.text)

    work(output, context_drr, few, report)
    goes = work in (encode, append)
    said = "is taken over, and the folder is removed" if goes else "delete it if you will not give"
    for folder, line in zip((parts, fit), told, strict=True):
        assert line.startswith(f"{folder} is of an interrupted command on {output}: ")
        assert said in line and "\n" not in line
    assert sorted(os.listdir(tmp_path)) == ([] if goes else [fit.name, parts.name]) + ["mem.drr"]
    told.clear()
    work(Path(shutil.copy(context_drr, tmp_path / "other.drr")), context_drr, few, report)
    assert told == [], "those are not beside this file"
