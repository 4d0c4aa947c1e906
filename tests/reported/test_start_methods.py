"""Reported: pytorch/pytorch#11929: images read from HDF5 by several workers were wrong, or ended in
an error, as the workers shared one open file.

Right: workers give the same bytes as no worker, however they are started, and every time that they
are asked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from drrpack import DRRDataset

pytestmark = [
    # what torch and Python think of many workers on a small machine is not what is tested here
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]


@pytest.mark.parametrize("opened_before", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize(
    "method",
    ["fork", *(pytest.param(name, marks=pytest.mark.slow) for name in ("forkserver", "spawn"))],
)
def test_workers_change_nothing(
    shared_drr: Path, shared_pixels: NDArray[np.uint8], method: str, opened_before: bool
) -> None:
    dataset = DRRDataset(shared_drr, cache_bytes=0)
    if opened_before:  # a descriptor, a network and codes are there when the workers start
        dataset.pixels([0, 7, 17])
    loader = DataLoader(
        dataset, batch_size=4, num_workers=2, persistent_workers=True,
        multiprocessing_context=method,
    )  # fmt: skip
    for _ in range(2):
        batches = list(loader)
        images = torch.cat([images for images, _ in batches]).permute(0, 2, 3, 1)
        np.testing.assert_array_equal(images, shared_pixels)
        assert torch.cat([labels for _, labels in batches]).tolist() == dataset.targets
