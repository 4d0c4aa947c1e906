"""The options that say how pictures become pixels, from the command line into the file and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import Command
from picture_files import write_tiff

from drrpack.formats.container import Reader
from drrpack.formats.originals import open_originals, open_test

pytestmark = pytest.mark.usefixtures("one_thread")


def camera(root: Path, *classes: str, white: int = 4095) -> Path:
    """Pictures of 32 x 32 as a camera of 12 bits writes them, in files of 16."""
    rng = np.random.default_rng(0)
    for name in classes:
        for number in range(3):
            values = rng.integers(0, white + 1, (32, 32)).astype(np.uint16)
            write_tiff(root / name / f"{number}.tif", values)
    return root


def mean_of(reader: Reader) -> float:
    return float(open_originals(reader, None, "train").load("cat").mean())


@pytest.mark.parametrize("option", [("--depth", "12"), ("--range", "0", "4095")])
def test_what_was_said_of_brightness_is_remembered(
    drrpack: Command, digits_drr: Path, tmp_path: Path, option: tuple[str, ...]
) -> None:
    source, output = camera(tmp_path / "src", "cat", "dog"), tmp_path / "mem.drr"
    done = drrpack("encode", source, "-o", output, "--codec", digits_drr, *option)
    assert done.code == 0 and "warning" not in done.errors, done.errors
    with Reader(output) as reader:
        assert 120 < mean_of(reader) < 135  # of noise from black to white
        given = camera(tmp_path / "test", "cat", "dog")
        (given / "cat" / "3.tif").write_bytes((given / "cat" / "0.tif").read_bytes())
        assert 120 < open_test(reader, given).load("cat").mean() < 135
    more = camera(tmp_path / "more", "eel")
    done = drrpack("append", output, more, "--keep-entropy-model")
    assert done.code == 0 and "warning" not in done.errors, done.errors
    with Reader(output) as reader:
        first, second = reader.metadata["sources"]
        kept = {"--depth": "depth", "--range": "range"}[option[0]]
        assert first[kept] == second[kept] == (12 if kept == "depth" else [0, 4095])


def test_without_a_word_there_is_a_warning(
    drrpack: Command, digits_drr: Path, tmp_path: Path
) -> None:
    source, output = camera(tmp_path / "src", "cat", "dog"), tmp_path / "mem.drr"
    for command in (
        ("encode", source, "-o", output, "--codec", digits_drr),
        ("compare", source, "--codec", digits_drr, "--sample", "4"),
    ):
        done = drrpack(*command)
        assert done.code == 0, done.errors
        assert "warning: 6 pictures of 16 bits" in done.errors and "--depth 12" in done.errors
        assert str(source / "cat" / "0.tif") in done.errors
    with Reader(output) as reader:
        assert mean_of(reader) < 10
        assert set(reader.metadata["sources"][0]) == {
            *("name", "digest", "listing", "size", "classes"),
        }


def test_a_range_may_begin_below_zero(drrpack: Command, digits_drr: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        values = np.full((32, 32), -1024, np.int16)
        values[:16] = 3071
        write_tiff(tmp_path / "src" / name / "0.tif", values)
    start = ("encode", tmp_path / "src", "-o", tmp_path / "mem.drr", "--codec", digits_drr)
    drrpack.refused(*start, naming=("0.tif", "signed 16-bit integers", "--range BLACK WHITE"))
    drrpack.refused(*start, "--range", "5", "5", naming=("--range 5 5",))
    drrpack.refused(*start, "--depth", "12", naming=("values from -1024 to 3071",))
    assert drrpack(*start, "--range", "-1024", "3071").code == 0
    with Reader(tmp_path / "mem.drr") as reader:
        assert mean_of(reader) == 127.5
