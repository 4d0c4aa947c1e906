"""Every type of sample that a file may have, against what its format's text says it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import (
    COLOURS,
    MIN_IS_BLACK,
    MIN_IS_WHITE,
    write_png,
    write_tiff,
    write_tiff_of_12_bits,
)
from picture_folders import noise, refused, save
from PIL import __version__ as PILLOW

from drrpack.formats.sources.source import open_source

RAMP = np.arange(256).reshape(16, 16)
CHANNELS = np.stack([RAMP, RAMP[::-1], RAMP.T], -1)  # (16, 16, 3)


def only(root: Path, **options: Any) -> NDArray[np.uint8]:
    """The one picture of a source with one class, (H, W, 3)."""
    images = open_source(root, **options).load(0)
    assert len(images) == 1
    image: NDArray[np.uint8] = images[0]
    return image


def grey(root: Path, **options: Any) -> NDArray[np.uint8]:
    """The same of a picture whose three channels are one."""
    image = only(root, **options)
    assert (image == image[..., :1]).all()
    return image[..., 0]


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_of_a_tiff(tmp_path: Path, order: str) -> None:
    values = np.arange(65536).astype(np.uint16).reshape(256, 256)
    write_tiff(tmp_path / "c" / "0.tif", values, order=order)
    np.testing.assert_array_equal(grey(tmp_path), (values.astype(int) + 128) // 257)
    assert not open_source(tmp_path).remarks


def test_16_bits_of_a_png(tmp_path: Path) -> None:
    values = np.arange(65536).astype(np.uint16).reshape(256, 256)
    write_png(tmp_path / "c" / "0.png", values, 0)
    np.testing.assert_array_equal(grey(tmp_path), (values.astype(int) + 128) // 257)


@pytest.mark.parametrize("photometric", [MIN_IS_WHITE, MIN_IS_BLACK])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_which_end_is_white(tmp_path: Path, photometric: int, dtype: Any) -> None:
    scale = 257 if dtype == np.uint16 else 1
    write_tiff(tmp_path / "c" / "0.tif", (RAMP * scale).astype(dtype), photometric)
    options = {"value_range": (0, 255)} if dtype == np.float32 else {}
    expected = RAMP if photometric == MIN_IS_BLACK else 255 - RAMP
    np.testing.assert_array_equal(grey(tmp_path, **options), expected)


@pytest.mark.parametrize("compression", ["raw", "group4", "tiff_lzw", "packbits"])
def test_bits_of_which_0_is_white(tmp_path: Path, compression: str) -> None:
    bits = noise(16, 16) > 127
    save(tmp_path / "c" / "0.tif", bits, compression=compression, tiffinfo={262: 0})
    np.testing.assert_array_equal(grey(tmp_path), bits * 255)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate"])
def test_compressed_16_bits_of_which_0_is_white(tmp_path: Path, compression: str) -> None:
    """Pillow writes the tag that it is given, and the values as they are."""
    wide = (RAMP * 257).astype(np.uint16)
    save(tmp_path / "c" / "0.tif", wide, compression=compression, tiffinfo={262: 0})
    np.testing.assert_array_equal(grey(tmp_path), 255 - RAMP)


def test_a_tiff_of_12_bits_says_what_is_white(tmp_path: Path) -> None:
    values = RAMP * 4095 // 255
    write_tiff_of_12_bits(tmp_path / "c" / "0.tif", values)
    source = open_source(tmp_path)
    assert np.abs(source.load(0)[0][..., 0] - values / 4095 * 255).max() <= 0.5
    assert not source.remarks


@pytest.mark.parametrize("white", [300, 1023, 4095, 40000])
def test_a_pgm_says_what_is_white(tmp_path: Path, white: int) -> None:
    values, path = RAMP * white // 255, tmp_path / "c" / "0.pgm"
    path.parent.mkdir()
    path.write_bytes(b"P5 16 16 %d\n" % white + values.astype(">u2").tobytes())
    for options in ({}, {"value_range": (0, 1000)}):
        source = open_source(tmp_path, **options)
        assert np.abs(source.load(0)[0][..., 0] - values / white * 255).max() <= 0.51
        assert bool(source.remarks) == bool(options)


def test_a_pgm_of_16_bits_may_use_fewer(tmp_path: Path) -> None:
    values, path = RAMP * 4095 // 255, tmp_path / "c" / "0.pgm"
    path.parent.mkdir()
    path.write_bytes(b"P5 16 16 65535\n" + values.astype(">u2").tobytes())
    (remark,) = open_source(tmp_path).remarks
    assert "`depth=12`" in remark
    assert np.abs(grey(tmp_path, depth=12) - values / 4095 * 255).max() <= 0.5


def test_a_tiff_of_32_bits_without_a_sign(tmp_path: Path) -> None:
    """Pillow has signed integers alone, in which the brighter half comes out below 0."""
    values = (RAMP.astype(np.uint64) * (2**32 - 1) // 255).astype(np.uint32)
    write_tiff(tmp_path / "c" / "0.tif", values)
    np.testing.assert_array_equal(grey(tmp_path, depth=32), RAMP)
    refused(tmp_path, "its pixels are 32-bit integers", "no fixed range")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_integers(tmp_path: Path, dtype: Any, order: str) -> None:
    values = (RAMP - 128).astype(dtype)
    write_tiff(tmp_path / "c" / "0.tif", values, order=order)
    np.testing.assert_array_equal(grey(tmp_path, value_range=(-128, 127)), RAMP)
    refused(tmp_path, f"signed {8 * values.dtype.itemsize}-bit integers", "no fixed range")
    refused(tmp_path, "has values from -128 to 127, expected 0 to 255 (`depth=8`)", depth=8)


def test_beyond_a_range_is_cut_off_and_beyond_a_depth_refused(tmp_path: Path) -> None:
    values = np.array([[0, 100, 5000], [200, 150, 65535]], np.uint16)
    write_tiff(tmp_path / "c" / "0.tif", values)
    found = grey(tmp_path, value_range=(100, 200))
    np.testing.assert_array_equal(found, [[0, 0, 255], [255, 128, 255]])
    refused(tmp_path, "0.tif: has values from 0 to 65535", "(`depth=12`)", depth=12)


def test_floats(tmp_path: Path) -> None:
    values = np.array([[0.0, 0.5], [1.0, np.inf]], np.float32)
    write_tiff(tmp_path / "c" / "0.tif", values)
    np.testing.assert_array_equal(grey(tmp_path, value_range=(0, 1)), [[0, 128], [255, 255]])
    values[0, 0] = np.nan
    write_tiff(tmp_path / "c" / "0.tif", values)
    refused(tmp_path, "no numbers (NaN)", value_range=(0, 1))


@pytest.mark.parametrize("kind", ["tiff", "big-endian tiff", "png", "png with alpha", "ppm"])
def test_colours_of_16_bits(tmp_path: Path, kind: str) -> None:
    """Pillow keeps their upper halves; which is at most one step of 255 off."""
    write_colours(tmp_path / "c" / "0", CHANNELS * 257, kind)
    source = open_source(tmp_path)
    assert np.abs(source.load(0)[0].astype(int) - CHANNELS).max() <= 1
    assert not source.remarks
    refused(tmp_path, "16-bit colours", "convert it to 8 bits", depth=12)


@pytest.mark.parametrize("kind", ["tiff", "big-endian tiff", "png", "png with alpha", "ppm"])
def test_colours_that_use_12_of_16_bits(tmp_path: Path, kind: str) -> None:
    write_colours(tmp_path / "c" / "0", CHANNELS * 16, kind)
    (remark,) = open_source(tmp_path).remarks
    assert f"{tmp_path / 'c' / '0'}" in remark and "convert colours to 8 bits" in remark


def write_colours(path: Path, values: NDArray[Any], kind: str) -> None:
    wide = values.astype(np.uint16)
    if kind == "png with alpha":
        opaque = np.full((*wide.shape[:2], 1), 65535, np.uint16)
        write_png(path, np.concatenate([wide, opaque], -1), 6)
    elif kind == "png":
        write_png(path, wide, 2)
    elif kind == "ppm":
        path.parent.mkdir(parents=True)
        path.write_bytes(b"P6 16 16 65535\n" + wide.astype(">u2").tobytes())
    else:
        write_tiff(path, wide, COLOURS, order=">" if kind.startswith("big") else "<")


def test_grey_of_16_bits_with_alpha(tmp_path: Path) -> None:
    wide = np.stack([RAMP * 257, np.full_like(RAMP, 65535)], -1).astype(np.uint16)
    write_png(tmp_path / "c" / "0.png", wide, 4)
    assert np.abs(grey(tmp_path).astype(int) - RAMP).max() <= 1


def test_grey_under_its_alpha(tmp_path: Path) -> None:
    """Of what has been multiplied by alpha, alpha is divided out before it is dropped.

    Pillow reads such a TIFF from 13.0 on. With an older one it is refused, not read wrongly.
    """
    values = np.array([[[50, 100], [100, 255]]], np.uint8)
    write_tiff(tmp_path / "c" / "0.tif", values, extra=[1])
    if int(PILLOW.partition(".")[0]) < 13:
        refused(tmp_path, "0.tif: is no picture of a known format")
        return
    np.testing.assert_array_equal(grey(tmp_path), [[50 * 255 // 100, 100]])


def test_dim_sources_are_told_of_once(tmp_path: Path) -> None:
    """One bright picture is enough: the source uses its 16 bits, and some pictures are dark."""
    for number in range(3):
        write_tiff(tmp_path / "c" / f"{number}.tif", (RAMP * 16).astype(np.uint16))
    (remark,) = open_source(tmp_path).remarks
    assert "3 pictures" in remark and "`depth=12`" in remark
    write_tiff(tmp_path / "c" / "3.tif", (RAMP * 257).astype(np.uint16))
    assert not open_source(tmp_path).remarks


def test_an_option_that_does_nothing(tmp_path: Path) -> None:
    save(tmp_path / "c" / "0.png")
    (remark,) = open_source(tmp_path, depth=12).remarks
    assert "`depth=12` does nothing" in remark
    np.testing.assert_array_equal(only(tmp_path, depth=12), only(tmp_path))
