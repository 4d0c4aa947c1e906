"""Reading pictures takes the memory of a few of them, however many a source has."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock, Thread
from typing import Any

import pytest
import same_pictures as made
from picture_folders import noise
from PIL import Image

from drrpack.core.errors import SourceError
from drrpack.formats.sources import pictures
from drrpack.formats.sources.opening import Opening
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.source import open_as

EACH = 60
FEW = 2 * pictures.THREADS + 2  # those that wait, the one that is looked at, and one before it
WRITERS: dict[str, Callable[[Path, made.Pictures], Path]] = {
    "folder": made.as_folder,
    "tar": lambda place, found: made.as_tar(place / "shard.tar", found),
    "parquet": lambda place, found: made.as_parquet(place / "table.parquet", found, 1000),
}


class Alive:
    """How many decoded pictures there are, and how many there were at most."""

    now = most = made = 0

    def __init__(self) -> None:
        self.lock = RLock()

    def count(self, honest: Callable[..., Any]) -> Callable[..., Any]:
        def decode(*given: Any) -> Any:
            pixels, peak = honest(*given)
            with self.lock:
                self.now, self.made = self.now + 1, self.made + 1
                self.most = max(self.most, self.now)
            weakref.finalize(pixels, self.gone)
            return pixels, peak

        return decode

    def gone(self) -> None:
        with self.lock:
            self.now -= 1


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Alive:
    found = Alive()
    monkeypatch.setattr(pictures, "_decode", found.count(pictures._decode))
    return found


@pytest.fixture(params=WRITERS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    pixels = {name: [noise(8, 8, 3) for _ in range(EACH)] for name in ("cat", "dog")}
    return WRITERS[request.param](tmp_path, pixels)


def test_opening_and_loading(source: Path, alive: Alive) -> None:
    opened = open_as(source, Opening(keep_bytes=0))
    assert opened.images_per_class == (EACH, EACH) and alive.made == 2 * EACH
    assert alive.most <= FEW
    assert len(opened.load(0)) == EACH and alive.made == 3 * EACH
    assert alive.most <= FEW


def test_files_are_read_as_pictures_are_taken() -> None:
    read = list[int]()

    def found() -> Iterator[tuple[Path, Callable[[], bytes]]]:
        for number in range(100):
            read.append(number)
            yield Path(str(number)), lambda: b"no picture"

    reading = pictures.read_contents(found(), Reading())
    assert str(next(reading).path) == "0" and len(read) <= FEW
    assert [one.path for one in reading] == [Path(str(number)) for number in range(1, 100)]
    assert read == [*range(100)]


def test_after_an_error_nothing_is_held(tmp_path: Path) -> None:
    folder = made.as_folder(tmp_path, {"cat": [noise(8, 8, 3) for _ in range(EACH)]})
    opened = open_as(folder, Opening(keep_bytes=0))
    usual = Image.MAX_IMAGE_PIXELS
    (folder / "cat" / "cat-0001.png").write_bytes(b"another picture")
    with pytest.raises(SourceError, match="changed") as caught:
        opened.load(0)
    assert caught.value.__traceback__ is not None, "it still knows all that was used"
    assert usual == Image.MAX_IMAGE_PIXELS
    other = Thread(target=lambda: [*pictures.read_contents([], Reading())], daemon=True)
    other.start()
    other.join(10)
    assert not other.is_alive(), "another thread waits for the lock"
