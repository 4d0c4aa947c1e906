"""Reported: Textualize/rich#3203: a path with square brackets was taken for markup, and ended the
program; others took names with dashes for options.

Right: a name is a name. Brackets, blanks, line breaks, emoji and dashes come through encoding,
messages and the command line as they are; what would give a terminal orders is shown escaped.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command
from samples import Encode, folder

from drrpack import DRRDataset

NAMES = ("[red]x", "[bold]", "-rf", "--help", "two words", "\U0001f98a", "%s {0} $HOME", "it's")


@pytest.fixture
def made(tmp_path: Path, encode: Encode) -> Path:
    place = tmp_path / "[bold]a b\U0001f98a"
    place.mkdir()
    return encode(folder(place / "[src]", *NAMES, images=1), output=place / "[link=x]m.drr")


def test_through_the_command_line(made: Path, tmp_path: Path, drrpack: Command) -> None:
    assert DRRDataset(made).classes == sorted(NAMES)
    assert str(made) in drrpack("stats", made).output
    assert str(made) in drrpack("verify", made).output
    assert drrpack("export", made, tmp_path / "[o]").code == 0
    assert sorted(path.name for path in (tmp_path / "[o]").iterdir()) == sorted(NAMES)
    told = drrpack.refused("drop", made, "[blue]")
    assert "'[blue]'" in told and str(made) in told
    assert drrpack("drop", made, "--", *NAMES[:4]).code == 0
    assert DRRDataset(made).classes == sorted(NAMES[4:])


def test_paths_that_begin_with_dashes(
    made: Path, tmp_path: Path, drrpack: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made.rename("-m.drr")
    assert drrpack("stats", "--json", "--", "-m.drr").code == 0
    assert drrpack("export", "--", "-m.drr", "-images").code == 0
    assert Path("-images", "-rf").is_dir()
    assert DRRDataset("-m.drr").classes == sorted(NAMES)


def test_a_line_break_gives_no_orders(tmp_path: Path, drrpack: Command, encode: Encode) -> None:
    made = encode(folder(tmp_path / "src", "two\nlines", "bell\x1b[31m\a"))
    assert DRRDataset(made).classes == ["bell\x1b[31m\a", "two\nlines"]
    told = drrpack.refused("drop", made, "absent")
    assert "\x1b" not in told and "\a" not in told and r"two\nlines" in told
    assert drrpack("drop", made, "two\nlines").code == 0
