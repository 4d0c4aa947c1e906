"""Reported: h5py/h5py#1804: of two processes that write one file, one fails and harms the other.

Right: encode, merge, export and train know at their start that another process is writing to the
same place, with --force and without; they name it and end, and what the first one writes is whole.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from command import Command

from drrpack.formats.files.publish import changing, replacing

SPAWN = multiprocessing.get_context("spawn")


def hold(path: str, pipe: Connection) -> None:
    with (changing if os.path.isdir(path) else replacing)(Path(path)):
        pipe.send("held")
        pipe.recv()


@contextmanager
def writer_of(path: Path) -> Iterator[None]:
    """Another process, in the middle of writing ``path``."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(str(path), theirs))
    process.start()
    assert ours.recv() == "held"
    try:
        yield
    finally:
        ours.send("enough")
        process.join()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What no command can read: whoever complains of it has begun to work."""
    path = tmp_path / "src" / "cat" / "0.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no picture")
    return tmp_path / "src"


@pytest.mark.parametrize("force", [False, True])
def test_encode(
    tmp_path: Path,
    source: Path,
    drrpack: Command,
    force: bool,
) -> None:
    output = tmp_path / "out" / "mem.drr"
    output.parent.mkdir()
    if force:
        output.write_bytes(b"old")
    command = ("encode", source, "-o", output, *(["--force"] if force else []))
    with writer_of(output):
        error = drrpack.refused(*command)
        assert f"error: {output}: another process is writing it" in error
    assert "is no picture" in drrpack.refused(*command)
    assert os.listdir(output.parent) == (["mem.drr"] if force else [])


@pytest.mark.parametrize(
    "command",
    [("merge", "{memory}", "{bad}", "-o"), ("export", "{memory}")],
)
def test_what_makes_a_file_of_memories(
    tmp_path: Path,
    digits_drr: Path,
    drrpack: Command,
    command: tuple[str, ...],
) -> None:
    (tmp_path / "bad.drr").write_bytes(b"no memory")
    words = [part.format(memory=digits_drr, bad=tmp_path / "bad.drr") for part in command]
    output = tmp_path / "new"
    with writer_of(output):
        error = drrpack.refused(*words, output)
        assert f"error: {output}: another process is writing it" in error
    assert not output.exists()


def test_train(
    tmp_path: Path,
    digits_drr: Path,
    drrpack: Command,
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with writer_of(out):
        error = drrpack.refused(
            "train", digits_drr, "--phases", "5", "--out", out,
            "--no-ceiling", "--epochs", "1", "--width", "1",
        )  # fmt: skip
        assert f"error: {out}: another process is changing it" in error
    assert not list(out.rglob("*.json"))
