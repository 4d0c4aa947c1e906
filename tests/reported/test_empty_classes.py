"""Reported: pytorch/vision#4925: a folder without pictures made, by the version, an error or a
class that nothing belongs to.

Right: it is refused by its name, for it is a mistake or a class that went missing; a network
never gets an output that no image trains.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command
from samples import folder


@pytest.mark.parametrize("leftover", [None, ".DS_Store"])
def test_it_is_named(tmp_path: Path, drrpack: Command, leftover: str | None) -> None:
    source = folder(tmp_path / "src", "cat", "dog")
    (source / "eel").mkdir()
    if leftover:
        (source / "eel" / leftover).touch()
    for options in ([], ["--skip-bad"]):
        command = ["encode", str(source), "-o", str(tmp_path / "made.drr"), *options]
        told = drrpack.refused(*command, naming=(source / "eel",))
        assert "found no pictures in this class" in told and "remove the folder" in told
    assert not (tmp_path / "made.drr").exists()
