"""A memory that grows with the phases: real files, whose bytes stand in the results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Command

import drrpack
from drrpack import DRRDataset
from drrpack.core.errors import OptionError

pytestmark = pytest.mark.usefixtures("one_thread")

# a base of five digits and two phases of one
GIVEN: dict[str, Any] = {
    "base": 3, "phases": 2, "classes": ["4", "2", "7", "6", "0"], "epochs": 1, "width": 2,
    "ceiling": False, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def grown(digits_drr: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any]:
    """A memory, the folder of a run on it that grew, and the run's result."""
    out = tmp_path_factory.mktemp("grown") / "run"
    (result,) = drrpack.train(digits_drr, out, grow=True, grow_epochs=1, **GIVEN)
    return digits_drr, out, result


def files(out: Path) -> list[Path]:
    return sorted((out / "memory").iterdir())


def test_each_phase_has_a_file_of_its_classes(grown: tuple[Path, Path, Any]) -> None:
    _, out, _ = grown
    assert [DRRDataset(path).classes for path in files(out)] == [
        ["2", "4", "7"], ["2", "4", "7", "6"], ["2", "4", "7", "6", "0"],
    ]  # fmt: skip
    for path in files(out):
        assert drrpack.verify(path, "full")


def test_the_bytes_of_each_phase_are_those_of_its_file(grown: tuple[Path, Path, Any]) -> None:
    _, out, result = grown
    raw = [drrpack.stats(path).bytes.raw for path in files(out)]
    sizes = [path.stat().st_size - kept for path, kept in zip(files(out), raw, strict=True)]
    assert [phase.memory_bytes for phase in result.phases] == sizes
    assert sizes == sorted(sizes) and len(set(sizes)) == 3
    plain = drrpack.train(grown[0], out.parent / "plain", **GIVEN)[0]
    assert len({phase.memory_bytes for phase in plain.phases}) == 1, "one file serves all phases"


def test_old_classes_look_as_before(grown: tuple[Path, Path, Any]) -> None:
    memory, out, _ = grown
    last = DRRDataset(files(out)[-1], classes=["2", "4", "7"])
    first = DRRDataset(memory, classes=["2", "4", "7"])
    everything = np.arange(len(first))
    np.testing.assert_array_equal(first.pixels(everything), last.pixels(everything))


def test_a_run_goes_on_with_the_files_that_are_there(grown: tuple[Path, Path, Any]) -> None:
    memory, out, result = grown
    before = {path: path.stat().st_mtime_ns for path in files(out)}
    checkpoints = sorted(out.rglob("phases/*"))
    assert checkpoints
    checkpoints[-1].unlink()
    (again,) = drrpack.train(memory, out, grow=True, grow_epochs=1, resume=True, **GIVEN)
    assert {path: path.stat().st_mtime_ns for path in files(out)} == before
    assert again.confusion == result.confusion


def test_what_decides_the_files_decides_the_run(grown: tuple[Path, Path, Any]) -> None:
    memory, out, _ = grown
    with pytest.raises(OptionError, match="data was"):
        drrpack.train(memory, out, resume=True, **GIVEN)


def test_a_file_that_was_not_finished_is_made_anew(
    grown: tuple[Path, Path, Any], tmp_path: Path
) -> None:
    memory, out, _ = grown
    place = tmp_path / "run" / "memory"
    shutil.copytree(out / "memory", place)
    (place / files(out)[0].name).unlink()
    leftover = place / f".{files(out)[0].stem}"
    leftover.mkdir()
    (leftover / "half.drr").write_bytes(b"half a file")
    drrpack.train(memory, tmp_path / "run", grow=True, grow_epochs=1, **GIVEN)
    assert [path.name for path in sorted(place.iterdir())] == [path.name for path in files(out)]
    assert (place / files(out)[0].name).read_bytes() == files(out)[0].read_bytes()


@pytest.mark.slow
def test_on_the_command_line(bitswap_drr: Path, tmp_path: Path, drrpack: Command) -> None:
    some = ["--classes", "name:2,7,6", "--base", "2", "--phases", "1", "--epochs", "1"]
    done = drrpack(
        "train", bitswap_drr, "--out", tmp_path / "run", *some, "--width", "2", "--no-ceiling",
        "--grow", "--grow-epochs", "1",
    )  # fmt: skip
    assert done.code == 0, done.errors
    assert "memory after phase 1:" in done.output + done.errors
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert len({phase["memory_bytes"] for phase in result["phases"]}) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"grow_minutes": 1.0}, "`grow_minutes` has no meaning without `grow=True`"),
        ({"grow": True, "phases": [1, 2]}, "`grow=True`: found 2 numbers of phases"),
        ({"grow": True, "budget_mb": 5.0}, "`grow=True`: it records what a whole memory takes"),
        ({"grow": True, "method": "er"}, "the method er keeps no codes"),
    ],
)
def test_what_does_not_go_with_it(
    digits_drr: Path, tmp_path: Path, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(OptionError) as caught:
        drrpack.train(digits_drr, tmp_path / "run", **(GIVEN | more))
    assert words in str(caught.value)
    assert not (tmp_path / "run").exists()
