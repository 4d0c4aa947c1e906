"""A spool: what is put into it comes back, and nothing of it stays."""

from __future__ import annotations

import errno
import gc
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drrpack.core.codes import Codes
from drrpack.core.errors import WriteError
from drrpack.formats.files.spool import Spool


@given(st.lists(st.binary(max_size=300), max_size=20), st.data())
def test_data_come_back_in_any_order(parts: list[bytes], data: st.DataObject) -> None:
    spool = Spool()
    stored = [spool.put(part) for part in parts]
    for place in data.draw(st.permutations(range(len(parts)))):
        assert bytes(stored[place]) == parts[place] and len(stored[place]) == len(parts[place])
        assert stored[place] == parts[place]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_codes_come_back(count: int) -> None:
    rng = np.random.default_rng(0)
    codes = Codes.of(rng.integers(0, 512, (count, 2, 3)), rng.integers(0, 512, (count, 4, 6)))
    again = Spool().put_codes(codes).read()
    np.testing.assert_array_equal(again.top, codes.top)
    np.testing.assert_array_equal(again.bottom, codes.bottom)


def open_below(folder: Path) -> list[str]:
    """What this process has open in a folder, deleted or not; without /proc nothing is known."""
    fds = Path("/proc/self/fd")
    found = []
    for fd in fds.iterdir() if fds.exists() else ():
        with suppress(OSError):  # what listed the folder is closed by now
            found.append(os.readlink(fd))
    return [path for path in found if path.startswith(str(folder))]


def test_nothing_is_left_and_the_file_closes_with_its_last_user(tmp_path: Path) -> None:
    stored = Spool(tmp_path).put(b"data")
    assert os.listdir(tmp_path) == []
    assert len(open_below(tmp_path)) == (1 if Path("/proc/self/fd").exists() else 0)
    assert bytes(stored) == b"data"
    del stored
    gc.collect()
    assert open_below(tmp_path) == []


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(WriteError, match=f"{tmp_path}: can't be written: the disk is full"):
        spool.put(b"data")
    with pytest.raises(WriteError, match=r"there is no folder .*missing; create it first"):
        Spool(tmp_path / "missing")
