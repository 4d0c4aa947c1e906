"""Reported: pytorch/vision#2605: of classes that are folders in folders nobody could tell what
became a class and what was read as a part of one.

Right: a folder inside a class is refused by its name; its pictures are neither dropped in silence
nor mixed into the class above.
"""

from __future__ import annotations

from pathlib import Path

from command import Command
from samples import folder, save


def test_it_is_named(tmp_path: Path, drrpack: Command) -> None:
    source = folder(tmp_path / "src", "cat", "dog")
    save(source / "cat" / "tabby" / "0.png", 9)
    output = tmp_path / "made.drr"
    told = drrpack.refused("encode", source, "-o", output, naming=(source / "cat" / "tabby",))
    assert "inside the class 'cat'" in told and "move its pictures up" in told
    assert not output.exists()
