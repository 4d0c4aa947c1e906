"""Reported: h5py/h5py#1919: files of one content were never the same, as they held the time of day.

Right: one folder encoded twice by one program on one machine is one file, byte for byte: whatever
the time, the hash seed, the working folder or the way in which the path is written.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from samples import run

import drrpack

IMPORTED_FROM = Path(drrpack.__file__).parents[1]


def test_it_is_the_same_file(photographs: Path, shared_drr: Path, tmp_path: Path) -> None:
    time.sleep(max(0.0, 1.1 - (time.time() - shared_drr.stat().st_mtime)))  # HDF5 counts seconds
    environment = {"PYTHONHASHSEED": "4242", "PYTHONPATH": str(IMPORTED_FROM)}
    source = os.path.relpath(photographs, tmp_path)
    done = run("encode", source, "-o", "made.drr", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made.drr").read_bytes() == shared_drr.read_bytes()
