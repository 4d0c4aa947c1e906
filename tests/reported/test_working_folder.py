"""Reported: Lightning-AI/pytorch-lightning#2086: once the program had gone to another folder, as
Hydra makes it do, its other processes no longer found what lay at relative paths.

Right: a memory opened by a relative path is that file from then on, in every process and copy,
wherever the program goes.
"""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from drrpack import DRRDataset


@pytest.fixture
def opened(mem_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DRRDataset:
    """A memory opened beside it, by its bare name; the program goes elsewhere afterwards."""
    monkeypatch.chdir(mem_drr.parent)
    dataset = DRRDataset("mem.drr")
    monkeypatch.chdir(tmp_path)
    return dataset


def test_copies_find_it(opened: DRRDataset, shared_pixels: NDArray[np.uint8]) -> None:
    for other in (pickle.loads(pickle.dumps(opened)), copy.deepcopy(opened), opened):
        np.testing.assert_array_equal(other.to_numpy()[0], shared_pixels)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_find_it(opened: DRRDataset, shared_pixels: NDArray[np.uint8]) -> None:
    loader = DataLoader(opened, batch_size=5, num_workers=1, multiprocessing_context="fork")
    images = torch.cat([images for images, _ in loader])
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1), shared_pixels)


def test_another_file_of_that_name_is_not_taken(
    opened: DRRDataset, tmp_path: Path, shared_pixels: NDArray[np.uint8]
) -> None:
    Path(tmp_path, "mem.drr").write_bytes(b"another file")
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(opened)).pixels([3])[0], shared_pixels[3]
    )


def test_it_is_shown_as_it_was_given(opened: DRRDataset) -> None:
    assert "DRRDataset('mem.drr'" in repr(opened)
    assert not os.path.exists("mem.drr")
