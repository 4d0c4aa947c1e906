"""Reported: pydata/xarray#4425: a deep copy of a data set in an HDF5 file raised "h5py objects
cannot be pickled".

Right: a data set can be copied and pickled, opened or used, with transforms or without, and the
copy reads the same images, in another process, too.
"""

from __future__ import annotations

import copy
import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from drrpack import DRRDataset

CHILD = """
import hashlib, pickle, sys
with open(sys.argv[1], "rb") as file:
    dataset = pickle.load(file)
print(hashlib.sha256(dataset.to_numpy()[0].tobytes()).hexdigest())
"""


def halved(image: Tensor) -> Tensor:
    return image // 2


@pytest.mark.parametrize("used", [False, True], ids=["opened", "used"])
def test_copies_read_the_same(
    shared_drr: Path, shared_pixels: NDArray[np.uint8], used: bool
) -> None:
    dataset = DRRDataset(shared_drr, classes=["eel", "cat"], transform=halved)
    if used:
        dataset.preload()[0]
    copies = [copy.copy(dataset), copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset, 2))]
    copies.append(pickle.loads(pickle.dumps(copies[-1])))
    for other in copies:
        np.testing.assert_array_equal(other.to_numpy()[0][:6], shared_pixels[12:])
        assert (other.classes, other.targets) == (dataset.classes, dataset.targets)
        np.testing.assert_array_equal(other[0][0].permute(1, 2, 0), shared_pixels[12] // 2)


def test_in_another_process(
    shared_drr: Path, shared_pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "dataset.pickle").write_bytes(pickle.dumps(DRRDataset(shared_drr).preload()))
    command = [sys.executable, "-c", CHILD, str(tmp_path / "dataset.pickle")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == hashlib.sha256(shared_pixels.tobytes()).hexdigest()
