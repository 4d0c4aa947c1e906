"""Image files as rivals: pixels that come back, and sizes that leave out what files share."""

from __future__ import annotations

import io

import numpy as np
import PIL
import pytest
from PIL import Image
from protocol_data import DigitsData

from drrpack.trainers.comparison import peers, sheets


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return DigitsData(4).raw([0, 1])[0]


@pytest.mark.parametrize("name", peers.available())
def test_lossy_files(name: str, images: np.ndarray) -> None:
    rival, sizes = peers.LOSSY[name], []
    for quality in rival.curve:
        packed = rival.pack([images[:4], images[4:]], quality)
        assert packed.images.shape == images.shape and packed.images.dtype == np.uint8
        assert 10 < packed.image_bytes < 900
        assert len(packed.sizes) == (2 if rival.sheets else len(images))
        sizes.append(packed.sizes.sum())
    assert np.abs(packed.images.astype(int) - images).mean() < 12
    assert sizes == sorted(sizes) and sizes[-1] > 1.4 * sizes[0]


@pytest.mark.parametrize("pack", [peers.png, peers.webp_lossless])
def test_lossless_files(
    pack: peers.Callable[[np.ndarray], peers.Packed], images: np.ndarray
) -> None:
    packed = pack(images)
    np.testing.assert_array_equal(packed.images, images)
    assert (packed.sizes < images[0].size).all()


def saved(image: np.ndarray, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def common(files: list[bytes]) -> int:
    """Bytes at the beginning that all files share but for lengths, which take four each."""
    first = files[0]
    return next(n for n in range(len(first)) if any(f[n] != first[n] for f in files))


def test_what_is_left_out_is_in_every_file(images: np.ndarray) -> None:
    """Headers by the formats' own descriptions, on files as Pillow writes them."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    pngs = [saved(each, "PNG", optimize=True) for each in (*images[:3], *noise)]
    for file in pngs:
        assert file[:8] == b"\x89PNG\r\n\x1a\n" and file[12:16] == b"IHDR"
        assert file[37:41] == b"IDAT" and file[-8:-4] == b"IEND"
        assert len(file) - int.from_bytes(file[33:37], "big") == peers.PNG_COMMON_BYTES
    webps = [saved(each, "WEBP", quality=20) for each in noise]
    for file in webps:
        assert file[:4] == b"RIFF" and file[8:16] == b"WEBPVP8 "
        assert file[23:26] == b"\x9d\x01\x2a"  # the start code; then 2 + 2 bytes of sizes
        assert int.from_bytes(file[26:28], "little") & 0x3FFF == 16
    lossless = [saved(each, "WEBP", lossless=True) for each in noise]
    for file in lossless:
        assert file[8:16] == b"WEBPVP8L" and file[20] == 0x2F
    jpegs = [saved(each, "JPEG", quality=20, subsampling=2) for each in noise]
    counted = peers.LOSSY["JPEG"].pack([noise], 20).sizes
    assert [len(f) - size for f, size in zip(jpegs, counted, strict=True)] == [common(jpegs)] * 3


@pytest.mark.skipif("AVIF" not in peers.available(), reason="this Pillow writes no AVIF")
def test_of_avif_the_coded_data_counts(images: np.ndarray) -> None:
    file = saved(images[0], "AVIF", quality=20, subsampling="4:2:0", speed=4)
    start = file.index(b"mdat") + 4
    packed = peers.LOSSY["AVIF"].pack([images[:1]], 20)
    assert packed.sizes.tolist() == [len(file) - start]


def test_a_sheet_counts_as_the_whole_file(images: np.ndarray) -> None:
    """Against Pillow's own tiling: pasted one by one into a picture, and cropped out of it."""
    rival = peers.LOSSY["JPEG-sheet"]
    picture = Image.new("RGB", (2 * 16, 3 * 16), (sheets.GREY,) * 3)
    places = [(16 * (number % 2), 16 * (number // 2)) for number in range(5)]
    for image, place in zip(images, places, strict=False):
        picture.paste(Image.fromarray(image), place)
    file = saved(np.asarray(picture), "JPEG", quality=20, subsampling="4:2:0", optimize=True)
    packed = rival.pack([images[:5]], 20)
    assert packed.sizes.tolist() == [len(file)] and packed.image_bytes == len(file) / 5
    with Image.open(io.BytesIO(file)) as decoded:
        for image, (x, y) in zip(packed.images, places, strict=True):
            np.testing.assert_array_equal(image, np.asarray(decoded.crop((x, y, x + 16, y + 16))))


def test_every_step_of_an_encoder() -> None:
    webp, jpeg = peers.LOSSY["WebP"], peers.LOSSY["JPEG"]
    assert webp.between(0, 1) == 0.5 and webp.between(0.1, 0.2) is None
    assert jpeg.between(10, 20) == 15 and jpeg.between(10, 11) is None
    assert webp.told(0.1 + 0.2)["quality"] == 0.3
    assert all(type(r.told(12.0)["quality"]) is int for r in peers.LOSSY.values())
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    sizes = [webp.pack([noise], quality).sizes.sum() for quality in (0, 0.3, 1)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_what_made_the_files_is_named() -> None:
    named = peers.libraries()
    assert named["pillow"] == PIL.__version__
    assert {"libjpeg", "libwebp"} <= set(named) and all(named.values())
    assert ("libavif" in named) == ("AVIF" in peers.available())
