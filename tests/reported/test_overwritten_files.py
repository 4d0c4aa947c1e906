"""Reported: pydata/xarray#10418: data of a file that was overwritten while a data set was open came
back as other data, without a word.

Right: an open memory gives what it held when it was opened, or an error that names it: after it was
renamed, removed, replaced, cut short or written over in place. Never other images.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from drrpack import DRRDataset, FormatError
from drrpack.formats.container import Reader, write


@pytest.fixture
def other_drr(shared_drr: Path, tmp_path: Path) -> Path:
    """A sound memory with the same classes, of each other's images."""
    with Reader(shared_drr) as reader:
        memory = reader.memory()
    chunks = [replace(c, class_index=2 - c.class_index) for c in reversed(memory.chunks)]
    write(tmp_path / "other.drr", replace(memory, chunks=chunks))
    return tmp_path / "other.drr"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("change", ["renamed", "removed", "replaced"])
def test_an_open_one_goes_on(
    mem_drr: Path, other_drr: Path, shared_pixels: NDArray[np.uint8], change: str
) -> None:
    dataset = DRRDataset(mem_drr)  # nothing of it is decoded yet
    if change == "renamed":
        mem_drr.rename(mem_drr.with_name("elsewhere.drr"))
    elif change == "removed":
        mem_drr.unlink()
    else:
        os.replace(other_drr, mem_drr)
    loader = DataLoader(dataset, batch_size=5, num_workers=1, multiprocessing_context="fork")
    images = torch.cat([images for images, _ in loader]).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(images, shared_pixels)
    np.testing.assert_array_equal(dataset.to_numpy()[0], shared_pixels)
    with pytest.raises(FormatError) as caught:
        pickle.loads(pickle.dumps(dataset)).to_numpy()  # as in a worker that starts now
    assert str(mem_drr) in str(caught.value)


@pytest.mark.parametrize("change", ["cut", "emptied", "written over"])
def test_in_place_is_an_error(
    mem_drr: Path, other_drr: Path, shared_pixels: NDArray[np.uint8], change: str
) -> None:
    dataset = DRRDataset(mem_drr)
    np.testing.assert_array_equal(dataset.pixels([0]), shared_pixels[[0]])
    with mem_drr.open("r+b") as file:
        if change == "written over":
            file.write(other_drr.read_bytes())
        file.truncate(5000 if change == "cut" else 0 if change == "emptied" else None)
    with pytest.raises(FormatError) as caught:
        dataset.pixels([17])
    assert str(mem_drr) in str(caught.value)
    np.testing.assert_array_equal(dataset.pixels([0, 5]), shared_pixels[[0, 5]])  # read before
