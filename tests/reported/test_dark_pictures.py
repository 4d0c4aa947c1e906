"""Reported: python-pillow/Pillow#3159: what has more than 8 bits comes out black or white.

Right: how bright a picture is follows from what its file says; where the file does not say, the
picture is refused with the option that does, and where a file of 16 bits uses but a few of them the
user hears of it. A picture is never dark without a word.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import MIN_IS_WHITE, write_tiff

from drrpack.core.errors import SourceError
from drrpack.formats.sources.source import open_source

RAMP = np.arange(256).reshape(16, 16)  # from black to white in 8 bits


def only(root: Path, **options: object) -> NDArray[np.uint8]:
    image: NDArray[np.uint8] = open_source(root, **options).load(0)[0]  # type: ignore[arg-type]
    return image


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int16, np.int8, np.float32])
def test_no_agreed_range(tmp_path: Path, dtype: type[np.number]) -> None:
    values = (RAMP // 2).astype(dtype)  # as a mask or a label image has them
    write_tiff(tmp_path / "cat" / "0.tif", values)
    with pytest.raises(SourceError, match=r"0\.tif: its pixels are .* `depth=BITS`, or `value"):
        open_source(tmp_path)
    image = only(tmp_path, value_range=(0, 127))
    assert np.abs(image[..., 0] - values / 127 * 255).max() <= 0.5


@pytest.mark.parametrize(("bits", "order"), [(10, "<"), (12, "<"), (12, ">"), (14, ">")])
def test_few_of_16_bits(tmp_path: Path, bits: int, order: str) -> None:
    white = 2**bits - 1
    values = (RAMP * white // 255).astype(np.uint16)
    path = write_tiff(tmp_path / "cat" / "0.tif", values, order=order)
    (remark,) = open_source(tmp_path).remarks
    assert str(path) in remark and f"`depth={bits}`" in remark
    source = open_source(tmp_path, depth=bits)
    assert not source.remarks
    assert np.abs(source.load(0)[0][..., 0] - values / white * 255).max() <= 0.5


def test_min_is_white(tmp_path: Path) -> None:
    values = (RAMP * 257).astype(np.uint16)
    write_tiff(tmp_path / "cat" / "0.tif", values, MIN_IS_WHITE)
    np.testing.assert_array_equal(only(tmp_path)[..., 0], 255 - RAMP)
