"""Reported: npm/npm#20155: on a read-only file system users were told to mend permissions.

Right: a file system that is read-only is called so, and the way out is another place; only where
permissions are what is missing are they named.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from drrpack.core.errors import DrrError
from drrpack.formats.container import check_output
from drrpack.operations.export import check_place


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool) -> None:
    honest = os.statvfs

    def mounted(path: Any) -> os.statvfs_result:
        found = list(honest(path))
        found[8] = os.ST_RDONLY if read_only else 0
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", mounted)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # as the system says of both
    for check in (
        lambda: check_output(tmp_path / "mem.drr"),
        lambda: check_place(tmp_path / "images", "png"),
    ):
        with pytest.raises(DrrError) as caught:
            check()
        words = str(caught.value)
        assert ("read-only" in words, "permission" in words) == (read_only, not read_only), words
        assert "choose another" in words
