"""Names of classes on the command line and on the screen."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from command import Command

from drrpack.cli import screen
from drrpack.formats.container import Reader, write

NAIVE = unicodedata.normalize("NFC", "naïve")


def rename(path: Path, *names: str) -> None:
    """Give the first classes of a file other names."""
    with Reader(path) as reader:
        content = reader.memory()
    classes = [*names, *content.classes[len(names) :]]
    write(path, replace(content, classes=classes, metadata={}), overwrite=True)


def test_drop_takes_accents_in_their_other_form(drrpack: Command, own_drr: Path) -> None:
    rename(own_drr, NAIVE)
    apart = unicodedata.normalize("NFD", NAIVE)
    done = drrpack("drop", own_drr, apart, NAIVE, "9")
    assert done.code == 0 and "8 classes" in done.output, done.errors
    with Reader(own_drr) as reader:
        assert list(reader.classes) == list("12345678")


def test_names_that_a_terminal_would_obey(drrpack: Command, own_drr: Path) -> None:
    rename(own_drr, "\x1b[2Jx", "\u202ey")
    message = drrpack.refused("drop", own_drr, "cow", naming=(own_drr, "'cow'", "it has 10"))
    assert r"'\x1b[2Jx', '\u202ey', '2', '3', '4', …" in message
    assert "\x1b[2J" not in message and "\u202e" not in message


def test_notes_and_warnings_give_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    screen.note("a \x1b[2J é\nb")
    screen.warn("c \x07\udcff")
    output, errors = capsys.readouterr()
    assert output == "a \\x1b[2J é\nb\n"
    assert errors == "warning: c \\x07\\udcff\n"


def test_what_drop_takes_is_a_name(drrpack: Command, own_drr: Path) -> None:
    rename(own_drr, "7:8", "name:9")
    assert drrpack("drop", own_drr, "name:2", "7:8").code == 0
    with Reader(own_drr) as reader:
        assert list(reader.classes) == ["name:9", *"3456789"]
    assert drrpack("drop", own_drr, "name:9").code == 0  # a class of that very name goes before
    with Reader(own_drr) as reader:
        assert list(reader.classes) == list("3456789")
