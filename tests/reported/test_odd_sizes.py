"""Reported: strukturag/libheif#232: pictures whose sides are no multiples of 8 came back larger,
with stretched edges.

Right: a picture of any size comes back in its size: padding is the codec's own matter.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import Command
from PIL import Image
from samples import Encode, picture, save

from drrpack import DRRDataset


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (5, 3), (17, 33), (400, 8)], ids=lambda n: str(n)
)
def test_it_comes_back(
    tmp_path: Path, drrpack: Command, encode: Encode, width: int, height: int
) -> None:
    for index in range(2):
        save(tmp_path / "src" / "cat" / f"{index}.png", index, width, height)
    made = encode(tmp_path / "src")
    dataset = DRRDataset(made)
    assert dataset.image_size == (height, width) and dataset[1][0].shape == (3, height, width)
    images = dataset.to_numpy()[0]
    assert drrpack("export", made, tmp_path / "images").code == 0
    for index, image in enumerate(images):
        with Image.open(tmp_path / "images" / "cat" / f"{index:05}.png") as exported:
            np.testing.assert_array_equal(np.asarray(exported), image)
        original = np.asarray(picture(index, width, height)).astype(float)
        other = np.asarray(picture(1 - index, width, height)).astype(float)
        assert np.abs(image - original).mean() < np.abs(image - other).mean()
    assert drrpack("verify", made, "--full").code == 0
