"""Reported: pytorch/vision#714: of folders named 1 to 100 the labels were not the numbers.

Right: names are names. Classes are in the order of their names as text, and the label of each is
in class_to_idx; a string means the class of that name, and only a number counts classes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command
from samples import Encode, folder

from drrpack import DRRDataset, OptionError

NAMES = ("0", "1", "2", "5", "10", "05")
SORTED = ["0", "05", "1", "10", "2", "5"]


@pytest.fixture
def made(tmp_path: Path, encode: Encode) -> Path:
    source = folder(tmp_path / "src", *NAMES, images=1)
    for number, name in enumerate(NAMES):  # one more picture in each class than in the one before
        for index in range(1, number + 1):
            (source / name / f"{index}.png").write_bytes((source / name / "0.png").read_bytes())
    return encode(source)


def test_a_name_is_the_class_of_that_name(made: Path, tmp_path: Path, drrpack: Command) -> None:
    dataset = DRRDataset(made)
    assert dataset.classes == SORTED
    assert dataset.class_to_idx == {name: label for label, name in enumerate(SORTED)}
    for name in NAMES:
        label = dataset.class_to_idx[name]
        assert dataset.targets.count(label) == NAMES.index(name) + 1
        assert DRRDataset(made, classes=[name]).classes == [name]
        assert DRRDataset(made, classes=[label]).classes == [name]
    for name in ("6", "00", "5.0", "-1"):
        with pytest.raises(OptionError, match="has no class"):
            DRRDataset(made, classes=[name])


def test_on_the_command_line(made: Path, tmp_path: Path, drrpack: Command) -> None:
    for wanted, names in {
        "5": {"5"},
        "10": {"10"},
        "2,05": {"2", "05"},
        "3": set(SORTED[:3]),
    }.items():
        place = tmp_path / f"images-{wanted}"
        assert drrpack("export", made, place, "--classes", wanted).code == 0
        assert {path.name for path in place.iterdir()} == names
    assert drrpack("drop", made, "5").code == 0
    assert DRRDataset(made).classes == SORTED[:-1]
    drrpack.refused("drop", made, "5", naming=("has no class '5'",))
