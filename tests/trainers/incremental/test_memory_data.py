"""A file and the raw images behind it, as the protocol sees them."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_memory import encode_tiny

from drrpack import DRRDataset, SourceError, drop, stats
from drrpack.formats import raw
from drrpack.formats.container import Reader, write
from drrpack.formats.sources.source import open_source
from drrpack.trainers.incremental import memory_data
from drrpack.trainers.incremental.grown import GrownMemory
from drrpack.trainers.incremental.memory_data import MemoryData

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits_drr(context_drr: Path) -> Path:
    """By a codec of a few kilobytes, as nothing here is about the codec."""
    return context_drr


@pytest.fixture(scope="module")
def dataset(digits_drr: Path) -> DRRDataset:
    return DRRDataset(digits_drr).preload()


def test_reconstructions(digits_drr: Path, dataset: DRRDataset) -> None:
    images, labels = MemoryData(digits_drr).replayed([4, 1])
    assert labels.tolist() == [4] * 30 + [1] * 30 and labels.dtype == np.int64
    np.testing.assert_array_equal(images[:30], dataset.pixels(range(120, 150)))
    np.testing.assert_array_equal(images[30:], dataset.pixels(range(30, 60)))


def test_raw_images_in_the_order_of_their_reconstructions(
    digits_drr: Path, digits_folder: Path
) -> None:
    data, source = MemoryData(digits_drr), open_source(digits_folder)
    assert data.has_raw
    images, labels = data.raw([4, 1])
    np.testing.assert_array_equal(images, np.concatenate([source.load(4), source.load(1)]))
    assert labels.tolist() == [4] * 30 + [1] * 30
    images, labels = data.test([9])
    np.testing.assert_array_equal(images, source.load(9, "test"))
    assert labels.tolist() == [9] * 8


def test_some_classes_are_numbered_anew(
    digits_drr: Path, digits_folder: Path, dataset: DRRDataset
) -> None:
    data, source = MemoryData(digits_drr, numbers=[7, 2]), open_source(digits_folder)
    assert list(data.classes) == ["7", "2"]
    np.testing.assert_array_equal(data.replayed([1])[0], dataset.pixels(range(60, 90)))
    np.testing.assert_array_equal(data.raw([1])[0], source.load(2))
    np.testing.assert_array_equal(data.test([0])[0], source.load(7, "test"))


def test_bytes(digits_drr: Path) -> None:
    whole, some = MemoryData(digits_drr), MemoryData(digits_drr, numbers=[7, 2])
    assert sum(whole.memory_bytes.values()) == os.path.getsize(digits_drr)
    with Reader(digits_drr) as reader:
        payload = sum(len(stream) for pair in reader.streams([7, 2]) for stream in pair)
    assert some.memory_bytes == {**whole.memory_bytes, "payload": payload}


@pytest.fixture(scope="module")
def with_raw(
    digits_drr: Path, digits_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The file with raw exemplars: two of digit 7, and three of digit 4."""
    source, path = open_source(digits_folder), tmp_path_factory.mktemp("raw") / "mem.drr"
    records = raw.pack(7, [3, 20], source.load(7)[[3, 20]])
    records += raw.pack(4, [0, 1, 9], source.load(4)[[0, 1, 9]])
    with Reader(digits_drr) as reader:
        write(path, replace(reader.memory(), raw=records))
    return path


def test_raw_exemplars_of_the_classes_in_use(with_raw: Path, digits_folder: Path) -> None:
    data, source = MemoryData(with_raw, numbers=[2, 7]), open_source(digits_folder)
    positions, images = data.exemplars(1)
    assert positions.tolist() == [3, 20]
    np.testing.assert_array_equal(images, source.load(7)[[3, 20]])
    assert len(data.exemplars(0)[0]) == 0
    with Reader(with_raw) as reader:
        mine = [row for row, of in enumerate(reader.raw_index["class"]) if of == 7]
        records = sum(map(len, reader.raw_records(mine)))
        assert 0 < len(mine) < len(reader.raw_index)
    assert data.memory_bytes["raw"] == records + 24 * len(mine), "and their rows of the index"
    whole = MemoryData(with_raw).memory_bytes
    assert sum(whole.values()) == with_raw.stat().st_size
    assert MemoryData(with_raw, numbers=[2]).memory_bytes["raw"] == 0


def test_the_fingerprint_is_of_all_that_decides(
    digits_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    def of(*numbers: int, test: Path | None = None) -> str:
        return MemoryData(digits_drr, numbers=numbers or None, test=test).fingerprint

    fewer = Path(shutil.copytree(digits_folder / "test", tmp_path / "test"))
    next((fewer / "0").iterdir()).unlink()
    assert of() == of()
    different = [of(), of(1, 2), of(2, 1), of(test=fewer)]
    assert len(set(different)) == 4
    copied = shutil.copy(digits_drr, tmp_path / "copy.drr")
    assert MemoryData(Path(copied)).fingerprint == of()


def test_other_test_images(digits_drr: Path, digits_folder: Path) -> None:
    data = MemoryData(digits_drr, test=digits_folder / "test")
    np.testing.assert_array_equal(data.test([3])[0], MemoryData(digits_drr).test([3])[0])
    with pytest.raises(SourceError, match="training images"):
        MemoryData(digits_drr, test=digits_folder / "train")


def test_a_source_that_has_moved(
    own_drr: Path, digits_folder: Path, tmp_path: Path, remembered: Path
) -> None:
    """As where the file was made on another machine."""
    folder = Path(shutil.copytree(digits_folder, tmp_path / "elsewhere"))
    remembered.unlink()
    with pytest.raises(SourceError, match="`test=DIR`"):
        MemoryData(own_drr)
    data = MemoryData(own_drr, test=folder / "test")
    assert not data.has_raw
    with pytest.raises(SourceError, match="`source=DIR`"):
        data.raw([0])
    data = MemoryData(own_drr, source=folder)
    assert data.has_raw and len(data.raw([0])[0]) == 30 and len(data.test([0])[0]) == 8


def test_what_methods_choose_by(digits_drr: Path, dataset: DRRDataset) -> None:
    data = MemoryData(digits_drr, numbers=[7, 2])
    assert data.counts == [30, 30]
    ranking = data.ranking(1)
    assert sorted(ranking.tolist()) == list(range(30)) and ranking.tolist() != list(range(30))
    positions, images = data.exemplars(0)
    assert len(positions) == 0 and images.shape == (0, 32, 32, 3)


def test_what_is_asked_for_once_a_class_is_counted_once(
    digits_drr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a thousand classes anything else takes minutes."""
    asked: list[str] = []
    for name in ("images_per_class", "byte_account"):
        known = Reader.__dict__[name]
        computed = isinstance(known, property | cached_property)
        count = known.fget if isinstance(known, property) else getattr(known, "func", known)

        def counted(self: Reader, name: str = name, count: Any = count) -> object:
            asked.append(name)
            return count(self)

        wrapped = property(counted) if computed else counted
        monkeypatch.setattr(Reader, name, wrapped)
    data = MemoryData(digits_drr)
    asked.clear()
    for label in range(10):
        assert data.counts[label] == 30 and data.memory_bytes["payload"] > 0
    assert sorted(asked) == ["byte_account", "images_per_class"]


def test_the_classes_of_a_file_that_are_not_in_use(
    digits_drr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = MemoryData(digits_drr, numbers=[7, 2, 9])
    made: list[object] = []
    monkeypatch.setattr(memory_data, "set", lambda of: made.append(of) or frozenset(of), False)
    assert data.other_classes == ["0", "1", "3", "4", "5", "6", "8"]
    assert len(made) <= 1, "a set for every class of the file"


def test_test_images_through_the_codec(
    digits_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    """They come back as they do out of a file that is made of them."""
    data = MemoryData(digits_drr, numbers=[7, 2])
    seen, labels = data.test_through_codec([1, 0])
    assert labels.tolist() == data.test([1, 0])[1].tolist()
    made = encode_tiny(digits_folder / "test", tmp_path / "test.drr", codec=digits_drr)
    wanted = [DRRDataset(made, classes=[name]).to_numpy()[0] for name in ("2", "7")]
    np.testing.assert_array_equal(seen, np.concatenate(wanted))


def test_a_memory_that_grows_has_a_file_for_each_phase(digits_drr: Path, tmp_path: Path) -> None:
    data = GrownMemory(digits_drr, numbers=[4, 1, 7], growth="a")
    assert data.fingerprint != GrownMemory(digits_drr, numbers=[4, 1, 7], growth="b").fingerprint
    base, last = data.after([0, 1]), data.after([0, 1, 2])
    before, whole = last.replayed([2, 0]), MemoryData(digits_drr, numbers=[4, 1, 7]).memory_bytes
    assert base.memory_bytes == last.memory_bytes == whole
    files: dict[tuple[int, ...], Path] = {}
    for seen, others in (((0, 1), "0235 6789"), ((0, 1, 2), "0235 689")):
        path = files[seen] = Path(shutil.copy(digits_drr, tmp_path / f"{len(seen)}.drr"))
        drop(path, [*others.replace(" ", "")])
    data.keep(files)
    for phase, seen in ((base, (0, 1)), (last, (0, 1, 2))):
        account = stats(files[seen]).bytes
        assert sum(phase.memory_bytes.values()) == account.file
        assert phase.memory_bytes["payload"] == account.payload
    for one, other in zip(before, base.replayed([2, 0]), strict=True):
        np.testing.assert_array_equal(one, other)
    files[0, 1, 2].unlink()
    assert len(base.ranking(2)) == 30, "of the file that is open"
