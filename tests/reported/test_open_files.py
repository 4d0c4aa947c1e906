"""Reported: h5py/h5py#549: files stayed open after everything that had opened them was gone, until
no more could be opened.

Right: a data set that is dropped, failed or copied keeps no file open; thousands can come and go
in a process that may have few open.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from drrpack import DRRDataset, FormatError
from drrpack.formats.container import Reader


@pytest.fixture
def few_files() -> Iterator[None]:
    """Room for ten more open files than there are."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors) + 10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def opened_in(folder: Path) -> list[str]:
    """The files in ``folder`` that this process holds open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of this very listing is closed by now
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in found if Path(path).parent == folder]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count open files")
@pytest.mark.parametrize("times", [400, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_come_and_go(mem_drr: Path, few_files: None, times: int) -> None:
    broken = mem_drr.with_name("broken.drr")
    broken.write_bytes(mem_drr.read_bytes()[:-100])
    for number in range(times):
        dataset = DRRDataset(mem_drr)
        if number % 100 == 0:
            copy.deepcopy(dataset)
            dataset.reader.stream(0, "top")
            with pytest.raises(FormatError):
                Reader(broken)
    del dataset
    gc.collect()
    assert not opened_in(mem_drr.parent)
