"""One memory for all reports: encoded once, by the command and its defaults."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command import Command
from numpy.typing import NDArray
from samples import CLASSES, IMAGES, Encode, folder, run

from drrpack import DRRDataset


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of three classes; read only, as all tests share it."""
    return folder(tmp_path_factory.mktemp("photographs") / "src", *CLASSES, images=IMAGES)


@pytest.fixture(scope="session")
def shared_drr(photographs: Path) -> Path:
    """The folder as a memory, by the codec that comes along; read only, too."""
    output = photographs.parent / "mem.drr"
    done = run("encode", photographs, "-o", output, env={"PYTHONHASHSEED": "1"})
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="session")
def shared_pixels(shared_drr: Path) -> NDArray[np.uint8]:
    return DRRDataset(shared_drr).to_numpy()[0]


@pytest.fixture
def mem_drr(shared_drr: Path, tmp_path: Path) -> Path:
    """A copy of the memory that a test may change, alone in its folder."""
    place = tmp_path / "memory"
    place.mkdir()
    return Path(shutil.copy(shared_drr, place / "mem.drr"))


@pytest.fixture
def encode(drrpack: Command, tmp_path: Path) -> Encode:
    """Encode a folder by the command and its defaults; the memory, ``tmp_path``/made.drr."""

    def encoded(source: Path, *options: str, output: Path = tmp_path / "made.drr") -> Path:
        done = drrpack("encode", source, "-o", output, "--force", *options)
        assert done.code == 0, done.errors
        return output

    return encoded
