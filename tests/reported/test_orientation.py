"""Reported: fastai/fastai#3565: photographs from telephones were trained on lying on their side.

Right: EXIF's orientation is applied, so that every picture is encoded upright.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from samples import Encode, picture

from drrpack import DRRDataset

ORIENTATION = 0x0112  # EXIF's tag
STORED_AS = {  # what a camera does that turns pictures by the tag alone: the opposite of the tag
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def test_all_eight_orientations_are_one_picture(tmp_path: Path, encode: Encode) -> None:
    upright = picture(1, width=40, height=24)
    (tmp_path / "src" / "cat").mkdir(parents=True)
    for tag, turn in STORED_AS.items():
        stored = upright if turn is None else upright.transpose(turn)
        exif = Image.Exif()
        exif[ORIENTATION] = tag
        stored.save(tmp_path / "src" / "cat" / f"{tag}.png", exif=exif)
    images, _ = DRRDataset(encode(tmp_path / "src")).to_numpy()
    assert images.shape == (8, 24, 40, 3)
    np.testing.assert_array_equal(images, images[[0] * 8])
    error = images[0].astype(float) - np.asarray(upright)
    assert np.sqrt(np.mean(error**2)) < 40, "the picture itself, not one of its mirror images"
