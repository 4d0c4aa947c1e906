"""Reported: huggingface/datasets#2924: a name that a file system takes became too long for it
when the program put its own words around it ("File name too long").

Right: every name that the file system takes goes: of classes, of pictures, of the memory itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command
from samples import Encode, contents, folder, save

from drrpack import DRRDataset

LONGEST = 255  # bytes of a name on most file systems


def test_of_classes_and_pictures(tmp_path: Path, drrpack: Command, encode: Encode) -> None:
    name = "c" * LONGEST
    source = folder(tmp_path / "src", name, "dog")
    save(source / "dog" / f"{'p' * (LONGEST - 4)}.png", 40)
    made = encode(source)
    assert DRRDataset(made, classes=[name]).classes == [name]
    assert DRRDataset(made).targets == [0, 0, 1, 1, 1]
    assert drrpack("export", made, tmp_path / "images").code == 0
    assert len(list((tmp_path / "images" / name).iterdir())) == 2


@pytest.mark.slow
def test_of_the_memory(tmp_path: Path, drrpack: Command, encode: Encode) -> None:
    made = encode(folder(tmp_path / "src", "cat", "dog"), output=tmp_path / f"{'m' * 251}.drr")
    assert len(made.name) == LONGEST
    assert drrpack("append", made, folder(tmp_path / "more", "eel"), "--epochs", "1").code == 0
    assert contents(made)[0] == ["cat", "dog", "eel"]
    assert drrpack("drop", made, "cat").code == 0
    assert drrpack("verify", made, "--full").code == 0
    for command, ending in (("export", ""), ("export", ".npz"), ("preview", ".png")):
        output = tmp_path / ("o" * (LONGEST - len(ending)) + ending)
        options = ["-o", str(output)] if command == "preview" else [str(output)]
        done = drrpack(command, made, *options)
        assert done.code == 0, done.errors
        assert output.exists()
