"""Reported: nodejs/node#2165: a name that macOS had decomposed (NFD) was not found by the one that
a keyboard composes (NFC), though both look alike.

Right: a class is one class in both forms, in the source, on the command line and in Python; the
file holds NFC, and so does what is exported.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from command import Command
from samples import Encode, folder, renamed

from drrpack import DRRDataset, OptionError

NFC, NFD = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def test_either_form_means_the_class(tmp_path: Path, drrpack: Command, encode: Encode) -> None:
    assert NFC != NFD
    made = encode(folder(tmp_path / "src", NFD, "dog"))
    assert DRRDataset(made).classes == [NFC, "dog"]
    for number, name in enumerate((NFC, NFD)):
        found = DRRDataset(made, classes=[name])
        assert (found.classes, len(found)) == ([NFC], 2)
        place = tmp_path / f"images{number}"
        assert drrpack("export", made, place, "--classes", name).code == 0
        assert [path.name for path in place.iterdir()] == [NFC]
    with pytest.raises(OptionError, match="twice"):
        DRRDataset(made, classes=[NFC, NFD])
    assert drrpack("drop", made, NFD).code == 0
    assert DRRDataset(made).classes == ["dog"]


def test_two_folders_of_one_name(tmp_path: Path, drrpack: Command) -> None:
    source = folder(tmp_path / "src", NFC, NFD)
    told = drrpack.refused("encode", source, "-o", tmp_path / "made.drr", naming=(source,))
    assert "two classes of one name" in told


def test_an_export_goes_back_in_from_another_system(
    tmp_path: Path, drrpack: Command, encode: Encode, shared_drr: Path
) -> None:
    made = renamed(shared_drr, tmp_path / "mem.drr", NFC, "dog", "eel")
    assert drrpack("export", made, tmp_path / "images").code == 0
    (tmp_path / "images" / NFC).rename(tmp_path / "images" / NFD)  # as copied through HFS+
    assert DRRDataset(encode(tmp_path / "images")).classes == [NFC, "dog", "eel"]
