"""Fixtures of the tests of files and of `DRRDataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drr_files import SMALL
from numpy.typing import NDArray

from drrpack import DRRDataset
from drrpack.formats.container import Reader, write
from drrpack.formats.files.part import Part


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """`SMALL` as a file that a test may change."""
    path = tmp_path / "small.drr"
    write(path, SMALL)
    return path


@pytest.fixture(scope="module")
def dataset(digits_drr: Path) -> DRRDataset:
    return DRRDataset(digits_drr)


@pytest.fixture(scope="module")
def each_dataset(each_drr: Path) -> DRRDataset:
    return DRRDataset(each_drr)


@pytest.fixture(scope="module")
def pixels(dataset: DRRDataset) -> NDArray[np.uint8]:
    return dataset.to_numpy()[0]


@pytest.fixture
def streams_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Which streams have been read: (row, level)."""
    read: list[tuple[int, str]] = []
    original = Reader._stream_part

    def stream_part(self: Reader, row: int, level: Any) -> Part:
        read.append((row, level))
        return original(self, row, level)

    monkeypatch.setattr(Reader, "_stream_part", stream_part)
    return read
