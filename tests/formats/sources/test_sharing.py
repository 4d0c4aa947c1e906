"""A source that several processes open together: each reads a part, and all find the same."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image

from drrpack.core.errors import SourceError
from drrpack.formats.sources import image_folder, pictures
from drrpack.formats.sources.opening import Opening
from drrpack.formats.sources.source import Source, open_as

T = TypeVar("T")


@dataclass(frozen=True)
class Together:
    """One of several threads that play processes; ``box`` is on the table between them."""

    rank: int
    size: int
    box: list[Any]
    barrier: threading.Barrier

    def of_all(self, mine: T) -> list[T]:
        self.box[self.rank] = mine
        self.barrier.wait(60)
        every = list(self.box)
        self.barrier.wait(60)
        return every


def opened(root: Path, size: int, **more: Any) -> list[Source]:
    box, barrier = [None] * size, threading.Barrier(size)

    def one(rank: int) -> Source:
        return open_as(root, Opening(sharing=Together(rank, size, box, barrier), **more))

    with ThreadPoolExecutor(size) as pool:
        return [*pool.map(one, range(size))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, count in (("ant", 5), ("bee", 1), ("cat", 8)):
        (tmp_path / name).mkdir()
        for n in range(count):
            pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{n}.png")
    return tmp_path


@pytest.mark.parametrize("size", [2, 3, 20])
def test_all_find_what_one_alone_finds(folder: Path, size: int) -> None:
    alone = open_as(folder, Opening())
    for source in opened(folder, size):
        assert source == alone and source.digest() == alone.digest()
        for number in range(3):
            np.testing.assert_array_equal(source.load(number), alone.load(number))


def test_each_reads_its_part_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    honest = pictures.read_pictures

    def counted(paths: Any, *rest: Any) -> Any:
        some = list(paths)
        read.extend(some)
        return honest(some, *rest)

    monkeypatch.setattr(image_folder, "read_pictures", counted)
    opened(folder, 3)
    assert sorted(read) == sorted(folder.glob("*/*.png"))


def test_a_bad_picture_is_told_by_all(folder: Path) -> None:
    (folder / "cat" / "7.png").write_bytes(b"no picture")
    left = opened(folder, 2, skip_bad=True)
    assert [source.bad[0].path.name for source in left] == ["7.png", "7.png"]
    assert [source.images_per_class for source in left] == [(5, 1, 7)] * 2
    with pytest.raises(SourceError, match="found 1 of 14 files that can't be read"):
        opened(folder, 2)
