"""Reported: NixOS/nix#119: names that differ only in case fell together where the file system
does not tell them apart, and one took the other's place in silence.

Right: a memory never comes to hold two such classes: whatever would bring them together names
both, and leaves the memory as it was.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command
from samples import folder, renamed

from drrpack import DRRDataset


@pytest.mark.parametrize("other", ["Cat", "cat ", "CAT"])
def test_encode_names_both(tmp_path: Path, drrpack: Command, other: str) -> None:
    source = folder(tmp_path / "src", "cat", other)
    if len(list(source.iterdir())) < 2:
        return  # this file system makes one folder of the two, so there are no two classes
    told = drrpack.refused("encode", source, "-o", tmp_path / "made.drr", naming=(source,))
    assert repr(other) in told and "'cat'" in told


def test_append_names_both(tmp_path: Path, drrpack: Command, mem_drr: Path) -> None:
    before = mem_drr.read_bytes()
    more = folder(tmp_path / "more", "Cat")
    for options in ([], ["--extend"]):
        told = drrpack.refused("append", mem_drr, more, "--keep-entropy-model", *options)
        assert "'cat'" in told and "'Cat'" in told and str(mem_drr) in told
    assert mem_drr.read_bytes() == before


def test_merge_names_both(tmp_path: Path, drrpack: Command, mem_drr: Path) -> None:
    other = renamed(mem_drr, tmp_path / "other.drr", "ant", "Cat", "bee")
    both = tmp_path / "both.drr"
    told = drrpack.refused("merge", mem_drr, other, "-o", both, naming=(mem_drr, other))
    assert "'cat'" in told and "'Cat'" in told
    assert not both.exists()


def test_other_names_go_together(tmp_path: Path, drrpack: Command, mem_drr: Path) -> None:
    other = renamed(mem_drr, tmp_path / "other.drr", "cats", "ant", "bee")
    assert drrpack("merge", mem_drr, other, "-o", tmp_path / "both.drr").code == 0
    names = ["cat", "dog", "eel", "cats", "ant", "bee"]
    assert DRRDataset(tmp_path / "both.drr").classes == names
    more = folder(tmp_path / "more", "cats")
    assert drrpack("append", mem_drr, more, "--keep-entropy-model").code == 0
    assert DRRDataset(mem_drr).classes == names[:4]
