"""Reported: h5py/h5py#1101: a file could not be opened to read where the file system has no locks
("unable to lock file"), as on a read-only disk.

Right: reading wants nothing but to read. No lock is taken, nothing is written beside the file, not
even for a moment, and the file stays as it was to the nanosecond.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import Command
from numpy.typing import NDArray

from drrpack import DRRDataset


def state(path: Path) -> tuple[int, int, int, int]:
    """What any write would change; a folder's changes with every entry made or removed."""
    info = os.stat(path)
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


@pytest.fixture
def read_only(mem_drr: Path) -> Iterator[Path]:
    mem_drr.chmod(0o444)
    mem_drr.parent.chmod(0o555)  # which binds all but root; what follows is checked for root, too
    before = [state(path) for path in (mem_drr, mem_drr.parent)]
    yield mem_drr
    assert [state(path) for path in (mem_drr, mem_drr.parent)] == before
    assert os.listdir(mem_drr.parent) == ["mem.drr"]
    mem_drr.parent.chmod(0o755)


def test_a_dataset(read_only: Path, shared_pixels: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(DRRDataset(read_only).preload().to_numpy()[0], shared_pixels)


def test_commands_that_read(read_only: Path, tmp_path: Path, drrpack: Command) -> None:
    commands = [["stats"], ["stats", "--json"], ["verify", "--full"]]
    for command, *options in commands:
        assert drrpack(command, read_only, *options).code == 0
    assert drrpack("export", read_only, tmp_path / "images").code == 0
    assert drrpack("preview", read_only, "-o", tmp_path / "grid.png").code == 0


def test_no_lock_is_taken(read_only: Path, shared_pixels: NDArray[np.uint8]) -> None:
    dataset = DRRDataset(read_only)
    dataset.pixels([0])
    descriptor = os.open(read_only, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where anybody holds one
        np.testing.assert_array_equal(DRRDataset(read_only).pixels([7]), shared_pixels[[7]])
        np.testing.assert_array_equal(dataset.pixels([9]), shared_pixels[[9]])
    finally:
        os.close(descriptor)
