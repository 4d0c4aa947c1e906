"""Reported: pytorch/pytorch#22574: a data set that had come out empty was told of by its sampler,
as "num_samples=0", and not by itself.

Right: no classes asked for are no images, of the right shapes, through every door; that a memory
itself holds none can't happen, as encode refuses the folder by its name.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Command
from torch.utils.data import DataLoader

from drrpack import DRRDataset


def test_no_class_is_no_image(shared_drr: Path) -> None:
    dataset = DRRDataset(shared_drr, classes=[])
    assert (len(dataset), dataset.classes, dataset.targets, dataset.class_to_idx) == (0, [], [], {})
    assert list(DataLoader(dataset.preload(), batch_size=4)) == []
    images, labels = dataset.to_numpy()
    assert images.shape == (0, 32, 32, 3) and labels.shape == (0,)
    assert dataset.pixels([]).shape == (0, 32, 32, 3)
    assert [tuple(level.shape) for level in dataset.codes([])] == [(0, 4, 4), (0, 8, 8)]
    assert dataset.__getitems__([]) == []
    for index in (0, -1):
        with pytest.raises(IndexError, match="0 images") as caught:
            dataset[index]
        assert str(shared_drr) in str(caught.value)


def test_a_folder_of_none_is_named(tmp_path: Path, drrpack: Command) -> None:
    (tmp_path / "src").mkdir()
    output = tmp_path / "made.drr"
    told = drrpack.refused("encode", tmp_path / "src", "-o", output, naming=(tmp_path / "src",))
    assert "no class folders" in told and not output.exists()
