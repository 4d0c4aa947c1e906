"""Raw exemplars come back as they were, or not at all."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drr_files import SMALL
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from drrpack import DRRDataset, OptionError
from drrpack.core.errors import CorruptError, FormatError
from drrpack.formats import raw
from drrpack.formats.container import Chunk, Memory, RawRecord, Reader, write
from drrpack.formats.sources.source import open_source

RNG = np.random.default_rng(0)


def noise(count: int, height: int, width: int) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def memory_of(records: list[RawRecord], size: tuple[int, int], images: int = 40) -> Memory:
    return replace(SMALL, image_size=size, chunks=[Chunk(1, images, b"", b"", 0)], raw=records)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 70), st.lists(st.integers(0, 39), min_size=1, unique=True)
)
def test_images_come_back_in_the_order_of_their_positions(
    height: int, width: int, positions: list[int]
) -> None:
    images = noise(len(positions), height, width)
    records = raw.pack(1, positions, images)
    found = [raw._unpack_record(r.data, r.images, (height, width)) for r in records]
    assert np.concatenate([f.positions for f in found]).tolist() == sorted(positions)
    order = np.argsort(positions)
    np.testing.assert_array_equal(np.concatenate([f.images for f in found]), images[order])


def test_a_file_gives_them_back(tmp_path: Path) -> None:
    images = noise(5, 24, 16)
    write(tmp_path / "x.drr", memory_of(raw.pack(1, [7, 3, 39, 0, 5], images), (24, 16)))
    with Reader(tmp_path / "x.drr") as reader:
        reader.verify()
        kept = raw.read_raw(reader, 1)
        assert kept.positions.tolist() == [0, 3, 5, 7, 39]
        np.testing.assert_array_equal(kept.images, images[[3, 1, 4, 0, 2]])
        assert reader.byte_account()["raw"] == len(reader.raw_record(0)) + 24
        nothing = raw.read_raw(reader, 0)
        assert len(nothing.positions) == 0 and nothing.images.shape == (0, 24, 16, 3)


def test_more_images_than_a_picture_holds_take_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "MAX_SIDE", 100)
    images = noise(11, 24, 16)
    records = raw.pack(2, range(11), images)
    assert [record.images for record in records] == [4, 4, 3]


def test_an_image_that_no_webp_holds_is_a_png(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "MAX_SIDE", 20)
    images = noise(2, 24, 16)
    records = raw.pack(0, [0, 1], images)
    assert [record.data[4:12] for record in records] == 2 * [b"\x89PNG\r\n\x1a\n"]
    found = raw._unpack_record(records[1].data, 1, (24, 16))
    np.testing.assert_array_equal(found.images[0], images[1])


def picture(height: int, width: int, mode: str = "RGB", kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height)).save(out, kind)
    return out.getvalue()


def record(data: bytes, positions: list[int] | None = None) -> RawRecord:
    where = np.array([0, 1] if positions is None else positions, "<u4")
    return RawRecord(1, len(where), where.tobytes() + data)


WRONG = {
    "no picture": record(b"nothing"),
    "another size": record(picture(32, 8)),
    "too tall": record(picture(3200, 16)),
    "grey": record(picture(16, 8, "L")),
    "another format": record(picture(16, 8, kind="BMP")),
    "cut": record(picture(16, 8)[:-20]),
    "positions missing": RawRecord(1, 2, b"\0\0\0\0"),
    "positions fall": record(picture(16, 8), [5, 4]),
    "positions twice": record(picture(16, 8), [4, 4]),
    "positions beyond": record(picture(16, 8), [4, 40]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_records_that_are_wrong_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.drr"
    write(path, memory_of([WRONG[kind]], (8, 16)))
    with Reader(path) as reader, pytest.raises(CorruptError, match="class Füchse") as caught:
        raw.read_raw(reader, 1)
    assert str(path) in str(caught.value)


def test_a_version_of_another_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drrpack.formats.layout.RAW_VERSION", "2.0")
    write(tmp_path / "x.drr", memory_of(raw.pack(1, [0], noise(1, 8, 16)), (8, 16)))
    with Reader(tmp_path / "x.drr") as reader, pytest.raises(FormatError, match=r"version 2\.0"):
        raw.read_raw(reader, 1)


# --- the dataset ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs(digits_drr: Path, digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits with raw exemplars 2 and 9 of each class but "0"."""
    source, path = open_source(digits_folder), tmp_path_factory.mktemp("raw") / "pairs.drr"
    with Reader(digits_drr) as reader:
        kept = [r for c in range(1, 10) for r in raw.pack(c, [9, 2], source.load(c)[[9, 2]])]
        write(path, replace(reader.memory(), raw=kept))
    return path


@pytest.mark.usefixtures("one_thread")
def test_pairs(pairs: Path, digits_folder: Path) -> None:
    source, whole = open_source(digits_folder), DRRDataset(pairs)
    data = DRRDataset(pairs, raw="pairs", classes=["7", "0", "3"])
    assert len(data) == 4 and data.targets == [0, 0, 2, 2] and "4 pairs" in repr(data)
    for item, (name, position) in enumerate([(7, 2), (7, 9), (3, 2), (3, 9)]):
        original, reconstruction, label = data[item]
        assert label == data.targets[item]
        np.testing.assert_array_equal(original.permute(1, 2, 0), source.load(name)[position])
        where = 30 * name + position
        np.testing.assert_array_equal(reconstruction.permute(1, 2, 0), whole.pixels([where])[0])
        np.testing.assert_array_equal(data.codes([item])[0], whole.codes([where])[0])
    pixels, labels = data.to_numpy()
    np.testing.assert_array_equal(pixels, data.pixels(range(4)))
    assert labels.tolist() == data.targets
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again[3][0], data[3][0])


@pytest.mark.usefixtures("one_thread")
def test_pairs_in_a_loader(pairs: Path) -> None:
    data = DRRDataset(pairs, raw="pairs", transform=lambda image: image.float() / 255)
    (originals, reconstructions, labels), *rest = DataLoader(data, batch_size=10)
    assert originals.shape == reconstructions.shape == (10, 3, 32, 32) and len(rest) == 1
    assert float(originals.min()) >= 0 and float(originals.max()) <= 1
    assert labels.tolist() == data.targets[:10]


def test_pairs_that_are_not_there(digits_drr: Path, pairs: Path) -> None:
    with pytest.raises(OptionError, match="`raw_per_class=20`"):
        DRRDataset(digits_drr, raw="pairs")
    with pytest.raises(OptionError, match="no raw exemplars of these classes"):
        DRRDataset(pairs, raw="pairs", classes=["0"])
    with pytest.raises(OptionError, match="say 'pairs'"):
        DRRDataset(pairs, raw="both")  # type: ignore[arg-type]
