"""Reported: phquang/DualNet#2: fifty classes and seventeen tasks ended in a bare assertion.

Right: phases that can't be equal are refused before any training, with the numbers that work; no
class is left out without a word.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command
from samples import Encode, folder


@pytest.fixture
def seven(tmp_path: Path, encode: Encode) -> Path:
    return encode(folder(tmp_path / "src", *"abcdefg", images=1))


def test_what_works_is_told(seven: Path, tmp_path: Path, drrpack: Command) -> None:
    out = tmp_path / "run"
    test = folder(tmp_path / "test", *"gfedcba", images=1)
    command = ["train", str(seven), "--out", str(out), "--test", str(test), "--base"]
    told = drrpack.refused(*command, "1", "--phases", "4")
    assert "leave 6" in told and "what works as --phases: 1, 2, 3, 6" in told
    told = drrpack.refused(*command, "2", "--phases", "6")
    assert "leave 5" in told and "what works as --phases: 1, 5" in told
    for base in ("0", "8"):
        assert "1 to 7 classes" in drrpack.refused(*command, base, "--phases", "1")
    assert not list(out.rglob("*.pt")), "nothing was trained"
