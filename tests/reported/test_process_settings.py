"""Reported: pytorch/pytorch#39088: with another default tensor type set, forked workers failed to
load pictures, and spawned ones, which do not inherit it, gave other tensors.

Right: a memory gives the same pixels and labels whatever the process has set, in the process itself
and in workers that have inherited nothing.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from process_settings import SETTINGS
from torch.utils.data import DataLoader

from drrpack import DRRDataset

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
EXPECTED = json.loads((GOLDEN / "golden.json").read_text("utf-8"))

pytestmark = pytest.mark.usefixtures("one_thread")


def digest(images: np.ndarray, labels: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


@pytest.mark.parametrize("setting", SETTINGS)
def test_archived_files_give_the_pixels_that_they_gave(setting: str) -> None:
    for name in ("context.drr", "bitswap.drr"):
        with SETTINGS[setting]():
            images, labels = DRRDataset(GOLDEN / name).to_numpy()
        assert digest(images, labels) == EXPECTED[name]["pixels"]


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_so_do_workers(method: str) -> None:
    """Spawned ones start without the setting, forked ones with it."""
    with SETTINGS["bfloat16 by default"]():
        dataset = DRRDataset(GOLDEN / "context.drr")
        loader = DataLoader(dataset, batch_size=64, num_workers=2, multiprocessing_context=method)
        batches = list(loader)
    images = torch.cat([images for images, _ in batches]).permute(0, 2, 3, 1).contiguous()
    labels = torch.cat([labels for _, labels in batches])
    assert digest(images.numpy(), labels.numpy()) == EXPECTED["context.drr"]["pixels"]
