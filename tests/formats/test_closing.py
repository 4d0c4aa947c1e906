"""Files of a dataset are closed when their user says so, and each job opens a file once."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drrpack import DRRDataset, OptionError, ReplayBuffer, export
from drrpack.formats.file_set import open_files
from drrpack.formats.hdf5 import openfile

pytestmark = pytest.mark.usefixtures("one_thread")


def descriptors(path: Path) -> int:
    """How many descriptors of this process lead to the file."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("this system does not list descriptors")
    found = 0
    for each in os.listdir(folder):
        try:
            found += os.path.samefile(folder / each, path)
        except OSError:
            continue
    return found


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are opened."""
    paths, honest = list[Path](), openfile.open_stored

    def counted(path: Any) -> Any:
        paths.append(Path(path))
        return honest(path)

    monkeypatch.setattr(openfile, "open_stored", counted)
    return paths


READS: dict[str, Callable[[DRRDataset], object]] = {
    "item": lambda dataset: dataset[0],
    "items": lambda dataset: dataset.__getitems__([0, 1]),
    "pixels": lambda dataset: dataset.pixels([0]),
    "codes": lambda dataset: dataset.codes([0]),
    "all": lambda dataset: dataset.to_numpy(),
    "codec": lambda dataset: dataset.codec,
    "preload": lambda dataset: dataset.preload(),
    "blocks": lambda dataset: [*dataset.in_order(8)],
}


@pytest.mark.parametrize("name", READS)
def test_after_closing_nothing_is_read(digits_drr: Path, name: str) -> None:
    with DRRDataset(digits_drr).preload() as dataset:
        READS[name](dataset)  # from now on it is in memory, whatever it is
        assert descriptors(digits_drr) >= 1
        before = descriptors(digits_drr)
    assert descriptors(digits_drr) == before - 1
    with pytest.raises(ValueError, match=f"{digits_drr}: the dataset is closed; open"):
        READS[name](dataset)
    dataset.close()  # once more
    assert len(dataset) == len(dataset.targets) and dataset.classes


def test_a_closed_file_says_how_to_go_on(digits_drr: Path) -> None:
    with DRRDataset(digits_drr) as dataset:
        pass
    with pytest.raises(ValueError, match="the dataset is closed; open the file again"):
        _ = dataset.codec  # which nothing has read before
    with pytest.raises(ValueError, match=f"{digits_drr}: the reader is closed; open the file"):
        dataset.reader.models()


def test_a_copy_that_was_made_before_goes_on(digits_drr: Path) -> None:
    dataset = DRRDataset(digits_drr)
    pixels, packed = dataset.pixels([3, 5]), pickle.dumps(dataset)
    dataset.close()
    with pickle.loads(packed) as copy:
        np.testing.assert_array_equal(copy.pixels([3, 5]), pixels)


def test_files_that_can_not_be_read_together_are_closed(digits_drr: Path, own_drr: Path) -> None:
    before = descriptors(own_drr)
    (own_drr.parent / "bad.drr").write_bytes(b"no such file")
    with pytest.raises(Exception, match=r"bad\.drr"):
        open_files([own_drr, own_drr.parent / "bad.drr"])
    assert descriptors(own_drr) == before


def test_an_export_opens_a_file_once(own_drr: Path, tmp_path: Path, opened: list[Path]) -> None:
    assert export(own_drr, tmp_path / "few.npz", classes=["3", 5]).classes == 2
    assert opened == [own_drr] and descriptors(own_drr) == 0
    with pytest.raises(OptionError, match="there is no class"):
        export(own_drr, tmp_path / "none.npz", classes=["cow"])
    assert descriptors(own_drr) == 0
    with DRRDataset(own_drr, classes=["3"]) as dataset:
        export(dataset, tmp_path / "three.npz")
        assert len(dataset.pixels([0])) == 1, "a dataset of the caller stays open"


def test_a_buffer_is_loaded_from_one_file(own_drr: Path, opened: list[Path]) -> None:
    buffer = ReplayBuffer.load(own_drr, 30_000)
    assert opened.count(own_drr) == 1 and descriptors(own_drr) == 0
    assert len(buffer) == 300
