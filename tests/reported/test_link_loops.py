"""Reported: twisted/twisted#3098: a link that leads back up the tree was followed for ever.

Right: such a link is named at once, like any folder in a class or any class without pictures.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command
from samples import folder


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("place", "target"),
    [("cat/up", ".."), ("cat/here", "."), ("self", "self"), ("loop", "."), ("cat/0.png", "0.png")],
)
def test_it_is_named(tmp_path: Path, drrpack: Command, place: str, target: str) -> None:
    source = folder(tmp_path / "src", "cat", "dog")
    (source / place).unlink(missing_ok=True)
    (source / place).symlink_to(target)
    told = drrpack.refused("encode", source, "-o", tmp_path / "made.drr")
    assert str(source / place) in told
