"""``drrpack preview``: the picture, the note beside it, and what it refuses."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import Command
from PIL import Image

from drrpack import DRRDataset
from drrpack.formats.preview import preview_grid

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_picture(
    drrpack: Command, digits_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "grid.png"
    done = drrpack("preview", digits_drr, "-o", output, "--rows", "2", "--columns", "3")
    assert done.code == 0 and done.errors == ""
    assert f"{output}: originals (above) from {digits_folder}" in done.output
    expected, _ = preview_grid(DRRDataset(digits_drr), rows=2, columns=3)
    with Image.open(output) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))


@pytest.mark.parametrize("name", ["grid.jpg", "grid.WEBP"])
def test_other_formats(drrpack: Command, digits_drr: Path, tmp_path: Path, name: str) -> None:
    options = ("--rows", "1", "--columns", "1")
    assert drrpack("preview", digits_drr, "-o", tmp_path / name, *options).code == 0
    with Image.open(tmp_path / name) as picture:
        picture.load()


def test_refusals(drrpack: Command, digits_drr: Path, digits_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    (place / "old.png").write_bytes(b"old")
    start = ("preview", digits_drr, "-o")
    drrpack.refused(*start, place / "old.png", naming=(place / "old.png", "--force"))
    drrpack.refused(*start, place / "grid.txt", naming=(place / "grid.txt", ".png"))
    drrpack.refused(*start, place / "new" / "grid.png", naming=("create it first",))
    other = Path(shutil.copytree(digits_folder, tmp_path / "other"))
    next((other / "train/0").iterdir()).unlink()
    wrong = (place / "grid.png", "--source", other)
    drrpack.refused(*start, *wrong, naming=(other, digits_drr, "--source DIR"))
    notes = tmp_path / "notes.txt"
    notes.write_text("no memory")
    drrpack.refused("preview", notes, "-o", place / "grid.png", naming=(notes,), code=3)
    naming = (other, "found a folder, expected a .drr file", f"`drrpack encode {other} -o mem.drr`")
    drrpack.refused("preview", other, "-o", place / "grid.png", naming=naming)
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.toml").touch()
    naming = (run, "found the folder of a training, expected a .drr", f"`drrpack report {run}`")
    naming += ("shows its results, or how to finish it",)
    drrpack.refused("preview", run, "-o", place / "grid.png", naming=naming)
    assert drrpack(*start, place / "grid.png", "--rows", "0").code == 2
    assert [path.name for path in place.iterdir()] == ["old.png"]


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_a_full_disk_leaves_what_was_there(
    drrpack: Command,
    digits_drr: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    def fill(descriptor: int, write: object) -> None:
        os.write(descriptor, b"a start")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("drrpack.formats.files.publish._fill", fill)
    output = tmp_path / "grid.png"
    if options:
        output.write_bytes(b"old")
    start = ("preview", digits_drr, "-o", output, "--rows", "1", "--columns", "1")
    drrpack.refused(*start, *options, naming=(output, "disk is full"), code=6)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"] * len(options)


def test_an_old_picture_stays_as_private_as_it_was(
    drrpack: Command, digits_drr: Path, tmp_path: Path
) -> None:
    output = tmp_path / "grid.png"
    output.write_bytes(b"old")
    output.chmod(0o600)
    start = ("preview", digits_drr, "-o", output, "--rows", "1", "--columns", "1")
    assert drrpack(*start, "--force").code == 0
    with Image.open(output) as picture:
        picture.load()
    assert output.stat().st_mode & 0o777 == 0o600 and len(list(tmp_path.iterdir())) == 1
