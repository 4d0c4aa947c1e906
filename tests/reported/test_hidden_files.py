"""Reported: pytorch/vision#2831: a folder .ipynb_checkpoints became a class of its own.

Right: what notebooks and file managers leave behind, .DS_Store, ._x.jpg, Thumbs.db, __MACOSX, is
no class and no picture: the memory is the same, byte for byte, as without it.
"""

from __future__ import annotations

from pathlib import Path

from samples import Encode, folder, save


def litter(root: Path) -> None:
    save(root / ".ipynb_checkpoints" / "0-checkpoint.png", 50)
    save(root / "cat" / ".ipynb_checkpoints" / "0-checkpoint.png", 51)
    save(root / "__MACOSX" / "cat" / "0.png", 52)
    save(root / ".thumbnails" / "0.png", 53)
    for place in (root, root / "cat", root / "dog"):
        for name in (".DS_Store", "._0.png", "Thumbs.db", "desktop.ini", ".0.jpg.swp"):
            (place / name).write_bytes(b"\0\0\0\1Bud1")


def test_it_changes_no_byte(tmp_path: Path, encode: Encode) -> None:
    source = folder(tmp_path / "src", "cat", "dog")
    clean = encode(source).read_bytes()
    litter(source)
    assert encode(source).read_bytes() == clean
