"""Reported: NixOS/nix#119: names that differ only in case fell together where the file system
does not tell them apart, and one took the other's place in silence.

Right: a memory never comes to hold two such classes: whatever would bring them together names
both, and leaves the memory as it was.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import Command
from samples import Encode, folder

from drrpack import DRRDataset


@pytest.fixture
def cat(tmp_path: Path, encode: Encode) -> Path:
    return encode(folder(tmp_path / "src", "cat", "dog"), output=tmp_path / "cat.drr")


@pytest.mark.parametrize("other", ["Cat", "cat ", "CAT"])
def test_encode_names_both(tmp_path: Path, drrpack: Command, other: str) -> None:
    source = folder(tmp_path / "src", "cat", other)
    if len(list(source.iterdir())) < 2:
        return  # this file system makes one folder of the two, so there are no two classes
    told = drrpack.refused("encode", source, "-o", tmp_path / "made.drr", naming=(source,))
    assert repr(other) in told and "'cat'" in told


def test_append_names_both(tmp_path: Path, drrpack: Command, cat: Path) -> None:
    before = cat.read_bytes()
    more = folder(tmp_path / "more", "Cat")
    for options in ([], ["--extend"]):
        told = drrpack.refused("append", cat, more, "--keep-entropy-model", *options)
        assert "'cat'" in told and "'Cat'" in told and str(cat) in told
    assert cat.read_bytes() == before


def test_merge_names_both(tmp_path: Path, drrpack: Command, cat: Path, encode: Encode) -> None:
    other = encode(folder(tmp_path / "more", "Cat"), output=tmp_path / "other.drr")
    told = drrpack.refused("merge", cat, other, "-o", tmp_path / "both.drr", naming=(cat, other))
    assert "'cat'" in told and "'Cat'" in told
    assert not (tmp_path / "both.drr").exists()


def test_other_names_go_together(
    tmp_path: Path, drrpack: Command, cat: Path, encode: Encode
) -> None:
    other = encode(folder(tmp_path / "more", "cats"), output=tmp_path / "other.drr")
    assert drrpack("merge", cat, other, "-o", tmp_path / "both.drr").code == 0
    assert DRRDataset(tmp_path / "both.drr").classes == ["cat", "dog", "cats"]
    copy = Path(shutil.copy(cat, tmp_path / "copy.drr"))
    assert drrpack("append", copy, tmp_path / "more", "--keep-entropy-model").code == 0
    assert DRRDataset(copy).classes == ["cat", "dog", "cats"]
