"""Reported: pytorch/vision#138: "image file is truncated" from a worker, without the file's name.

Right: encode names every bad file before any work is done, and leaves all of them out, told one
by one, where that is asked for. Half a picture never passes for a whole one.
"""

from __future__ import annotations

from pathlib import Path

from command import Command
from samples import folder, save

from drrpack import DRRDataset


def spoiled(root: Path) -> list[Path]:
    """Files that are no whole pictures, each in its own way."""
    cut = [save(root / "cat" / f"cut.{kind}", 7) for kind in ("png", "jpg", "webp")]
    for path in cut:
        path.write_bytes(path.read_bytes()[:-40])
    texts = {"page.jpg": b"%PDF-1.7 not a picture", "empty.png": b"", "archive.zip": b"cats"}
    for name, content in texts.items():
        (root / "dog" / name).write_bytes(content)
    return [*cut, *(root / "dog" / name for name in texts)]


def test_each_is_named(tmp_path: Path, drrpack: Command) -> None:
    bad = spoiled(folder(tmp_path / "src", "cat", "dog"))
    told = drrpack.refused("encode", tmp_path / "src", "-o", tmp_path / "made.drr")
    assert f"found {len(bad)} of {len(bad) + 4} files that can't be read" in told
    assert sum(str(path) in told for path in bad) == 5 and "and 1 more" in told
    assert not (tmp_path / "made.drr").exists()


def test_each_is_left_out_and_told(tmp_path: Path, drrpack: Command) -> None:
    bad = spoiled(folder(tmp_path / "src", "cat", "dog"))
    done = drrpack("encode", tmp_path / "src", "-o", tmp_path / "made.drr", "--skip-bad")
    assert done.code == 0
    for path in bad:
        assert f"left out {path}: " in done.errors
    assert DRRDataset(tmp_path / "made.drr").targets == [0, 0, 1, 1]
