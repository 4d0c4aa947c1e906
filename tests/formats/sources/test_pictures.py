"""Every kind of picture against a computation of its own, and every kind that is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_folders import RNG, noise, refused, save
from PIL import Image, ImageFile

from drrpack.core.errors import OptionError
from drrpack.formats.sources import checked
from drrpack.formats.sources.source import open_source


def only(tmp_path: Path, **options: Any) -> NDArray[np.uint8]:
    """The one picture of a source with one class, (H, W, 3)."""
    images = open_source(tmp_path, **options).load(0)
    assert len(images) == 1 and images.flags.c_contiguous
    image: NDArray[np.uint8] = images[0]
    return image


def repeated(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([grey] * 3, axis=-1)


def test_grey(tmp_path: Path) -> None:
    grey = noise(5, 7)
    save(tmp_path / "c" / "0.png", grey)
    np.testing.assert_array_equal(only(tmp_path), repeated(grey))


def test_black_and_white(tmp_path: Path) -> None:
    bits = noise(5, 7) > 127
    save(tmp_path / "c" / "0.png", bits)
    np.testing.assert_array_equal(only(tmp_path), repeated(bits.astype(np.uint8) * 255))


@pytest.mark.parametrize("transparency", [None, bytes(range(0, 256, 16)), 3])
def test_palette(tmp_path: Path, transparency: bytes | int | None) -> None:
    indices, palette = noise(5, 7) % 16, noise(16, 3)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    (tmp_path / "c").mkdir()
    options: dict[str, Any] = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / "c" / "0.png", **options)
    np.testing.assert_array_equal(only(tmp_path), palette[indices])


def test_alpha_is_dropped(tmp_path: Path) -> None:
    rgba = noise(5, 7, 4)
    save(tmp_path / "c" / "0.png", rgba)
    np.testing.assert_array_equal(only(tmp_path), rgba[..., :3])


def test_grey_with_alpha(tmp_path: Path) -> None:
    grey = noise(5, 7, 2)
    save(tmp_path / "c" / "0.png", grey)
    np.testing.assert_array_equal(only(tmp_path), repeated(grey[..., 0]))


@pytest.mark.parametrize("name", ["0.png", "0.tif"])
def test_16_bits(tmp_path: Path, name: str) -> None:
    wide = np.array([[0, 128, 129, 257], [32767, 32768, 65406, 65535]], np.uint16)
    (tmp_path / "c").mkdir()
    Image.fromarray(wide).save(tmp_path / "c" / name)
    rounded = np.rint(wide / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(only(tmp_path), repeated(rounded))


def test_big_endian_16_bits(tmp_path: Path) -> None:
    """A PGM of 16 bits is big-endian."""
    wide = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "0.pgm").write_bytes(b"P5 7 5 65535\n" + wide.astype(">u2").tobytes())
    rounded = np.rint(wide / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(only(tmp_path), repeated(rounded))


def test_cmyk(tmp_path: Path) -> None:
    cmyk = noise(5, 7, 4)
    (tmp_path / "c").mkdir()
    Image.fromarray(cmyk, mode="CMYK").save(tmp_path / "c" / "0.tif")
    ink = cmyk.astype(np.float64) / 255
    light = (1 - ink[..., :3]) * (1 - ink[..., 3:]) * 255
    assert np.abs(only(tmp_path) - light).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "reason"), [(np.float32, "are floats"), (np.int32, "are signed 32-bit integers")]
)
def test_no_range(tmp_path: Path, dtype: Any, reason: str) -> None:
    (tmp_path / "c").mkdir()
    Image.fromarray(np.full((4, 4), 70000, dtype)).save(tmp_path / "c" / "0.tif")
    refused(tmp_path, "0.tif: its pixels", reason, "no fixed range")


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.transpose(1, 0, 2)),
        (6, lambda p: np.rot90(p, -1)),
        (8, lambda p: np.rot90(p)),
    ],
)
def test_orientation(
    tmp_path: Path,
    orientation: int,
    upright: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> None:
    pixels, exif = noise(4, 6, 3), Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "c" / "0.png", pixels, exif=exif)
    np.testing.assert_array_equal(only(tmp_path), upright(pixels))


def test_damaged_exif_is_no_matter(tmp_path: Path) -> None:
    pixels = noise(4, 6, 3)
    save(tmp_path / "c" / "0.png", pixels, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01")
    np.testing.assert_array_equal(only(tmp_path), pixels)


def test_first_frame(tmp_path: Path) -> None:
    first, second = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    save(tmp_path / "c" / "0.gif", first, save_all=True, append_images=[Image.fromarray(second)])
    assert not only(tmp_path).any()


def test_size_leaves_what_fits(folder: Path) -> None:
    np.testing.assert_array_equal(open_source(folder, size=8).load(0), open_source(folder).load(0))


@pytest.mark.parametrize("shape", [(20, 60, 3), (60, 20, 3), (10, 10, 3), (5, 10, 3)])
def test_size_is_the_shorter_side_then_a_cut(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = noise(*shape)
    save(tmp_path / "c" / "0.png", pixels)
    image = Image.fromarray(pixels)
    scale = 10 / min(image.size)
    wide = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
    )
    left, top = (wide.width - 10) // 2, (wide.height - 10) // 2
    cut = np.asarray(wide).astype(int)[top : top + 10, left : left + 10]
    assert np.abs(only(tmp_path, size=10) - cut).max() <= 1


def test_size_antialiases(tmp_path: Path) -> None:
    """A board of single pixels averages to grey; a filter without antialiasing picks some."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    save(tmp_path / "c" / "0.png", board)
    inner = only(tmp_path, size=8)[2:-2, 2:-2].astype(int)
    assert np.abs(inner - 127).max() <= 2


def test_size_brings_mixed_pictures_together(folder: Path) -> None:
    save(folder / "cat" / "2.png", noise(9, 30, 3))
    source = open_source(folder, size=16)
    assert source.image_size == (16, 16) and source.load(0).shape == (3, 16, 16, 3)
    assert open_source(folder, size=4).digest() == source.digest()


@pytest.mark.parametrize("size", [0, -3])
def test_size_below_one(folder: Path, size: int) -> None:
    with pytest.raises(OptionError, match=f"`size={size}`: expected 1 or more"):
        open_source(folder, size=size)


def no_picture(path: Path) -> None:
    path.write_bytes(b"label,count\n")


def truncated(path: Path) -> None:
    save(path.with_suffix(".png"), noise(32, 32, 3))
    content = path.with_suffix(".png").read_bytes()
    path.with_suffix(".png").unlink()
    path.write_bytes(content[: len(content) // 2])


def truncated_jpeg(path: Path) -> None:
    Image.fromarray(noise(32, 32, 3)).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:-200])


def truncated_webp(path: Path) -> None:
    Image.fromarray(noise(32, 32, 3)).save(path, format="WEBP")
    path.write_bytes(path.read_bytes()[:-200])


def damaged(path: Path) -> None:
    Image.fromarray(noise(32, 32, 3)).save(path, format="PNG")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def broken_link(path: Path) -> None:
    path.symlink_to("nowhere.png")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def postscript(path: Path) -> None:
    """A format for which Pillow would start Ghostscript."""
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")


BAD_FILES: list[tuple[Callable[[Path], None], str]] = [
    (no_picture, "is no picture of a known format (it starts 6c 61 62 65 6c 2c 63 6f)"),
    (truncated, "truncated"),
    (truncated_jpeg, "truncated"),
    (truncated_webp, "truncated"),
    (damaged, "damaged"),
    (Path.touch, "is empty (0 bytes)"),
    (broken_link, "can't be opened: No such file"),
    (pipe, "is a device, pipe or socket"),
    (postscript, "is no picture of a known format"),
]


@pytest.mark.parametrize(("make", "reason"), BAD_FILES)
def test_bad_files(folder: Path, make: Callable[[Path], None], reason: str) -> None:
    bad = folder / "cat" / "0bad"
    make(bad)
    refused(folder, f"{bad}: ", reason, "1 of 5 files", "JPEG", "`skip_bad=True`")
    source = open_source(folder, skip_bad=True)
    assert [image.path for image in source.bad] == [bad]
    assert reason in source.bad[0].reason
    assert source.images_per_class == (2, 2) and source.load(0).shape[0] == 2
    bad.unlink()
    assert source.digest() == open_source(folder).digest()


def test_truncated_even_where_the_program_is_lenient(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    truncated(folder / "cat" / "2.png")
    refused(folder, "2.png: can't be decoded", "truncated")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize("limit", [60, 20])
def test_a_bomb(folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Pillow warns above its limit and raises above twice the limit; both are refused."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    refused(folder, "0.png: is too large, perhaps a decompression bomb", str(limit))


def test_all_bad_files_are_counted(folder: Path) -> None:
    for i in range(8):
        no_picture(folder / "dog" / f"bad{i}.png")
    message = refused(folder, "found 8 of 12 files", "and 3 more")
    assert message.count("is no picture") == checked.SHOWN_BAD
    assert len(open_source(folder, skip_bad=True).bad) == 8


def test_nothing_left_of_a_class(folder: Path) -> None:
    for path in (folder / "dog").iterdir():
        path.write_bytes(b"")
    refused(folder, str(folder / "dog"), "none of which can be read", skip_bad=True)
