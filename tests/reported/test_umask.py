"""Reported: go-gitea/gitea#21198: what was written through a temporary file could be read by its
owner alone, whatever the umask said.

Right: what is new has the modes that the umask gives every file and folder; what takes the place
of a file stays as private, or as open, as that was.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Command

SLOW = [pytest.param(mask, marks=pytest.mark.slow) for mask in (0o002, 0o077)]


@pytest.fixture(params=[0o022, 0o027, *SLOW], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_files(shared_drr: Path, tmp_path: Path, drrpack: Command, umask: int) -> None:
    outputs = {"export": tmp_path / "images", "preview": tmp_path / "grid.png"}
    assert drrpack("export", shared_drr, outputs["export"]).code == 0
    assert drrpack("export", shared_drr, tmp_path / "arrays.npz").code == 0
    assert drrpack("preview", shared_drr, "-o", outputs["preview"]).code == 0
    assert drrpack("merge", shared_drr, "-o", tmp_path / "both.drr").code == 0
    for path in sorted(tmp_path.rglob("*")):
        assert mode(path) == (0o777 if path.is_dir() else 0o666) & ~umask, path


@pytest.mark.parametrize("before", [0o600, 0o640, 0o664])
def test_old_files(mem_drr: Path, drrpack: Command, umask: int, before: int) -> None:
    mem_drr.chmod(before)
    assert drrpack("drop", mem_drr, "dog").code == 0
    assert mode(mem_drr) == before
