"""Work on a list of names grows as the list does, not as its square: operations are counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drr_files import SMALL

from drrpack.core.codes import Codes
from drrpack.formats import class_names, raw
from drrpack.formats.container import Chunk, Reader, write
from drrpack.formats.indices import class_numbers
from drrpack.formats.recently_used import RecentlyUsed
from drrpack.formats.remote import transfer
from drrpack.formats.sources import checked
from drrpack.formats.sources.listed import ClassPictures
from drrpack.integrations.mixed import by_names
from drrpack.operations import append, append_plan, edit
from drrpack.operations.drop import drop
from drrpack.operations.preparing import chosen_classes
from drrpack.operations.viewing import code_store

MANY = 400
FEW_EACH = 40 * MANY  # a few operations for each class; all pairs are 160,000


class Counted(str):
    """A name that counts how often it is compared or hashed."""

    uses = 0

    def __eq__(self, other: object) -> bool:
        Counted.uses += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        Counted.uses += 1
        return str.__hash__(self)


class Place(int):
    """An offset that counts how often it is compared."""

    uses = 0

    def __lt__(self, other: int) -> bool:
        Place.uses += 1
        return int.__lt__(self, other)

    def __ge__(self, other: int) -> bool:
        Place.uses += 1
        return int.__ge__(self, other)


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Counted.uses = Place.uses = 0
    composed = 0

    def counted(name: str) -> str:
        nonlocal composed
        composed += 1
        return original(name)

    original = class_names._composed
    monkeypatch.setattr(class_names, "_composed", counted)
    yield
    assert Counted.uses < FEW_EACH and Place.uses < FEW_EACH and composed < FEW_EACH


def names(count: int = MANY, letter: str = "e\u0301") -> list[str]:
    """Of letters that a keyboard composes in another way."""
    return [Counted(f"{letter}{number:05}") for number in range(count)]


def new_names() -> list[str]:
    return names(letter="x")


def test_classes_by_their_names() -> None:
    typed = [f"é{number:05}" for number in range(MANY)]
    assert class_numbers("file", names(), typed) == [*range(MANY)]
    assert chosen_classes(names(), typed, print) == [*range(MANY)]
    assert class_numbers("file", names(), names()) == [*range(MANY)]


def test_classes_that_a_memory_and_new_images_have() -> None:
    memory: Any = SimpleNamespace(classes=names(), targets=[0])
    found = by_names(memory, np.arange(2 * MANY), [*names(), *new_names()])
    assert found.new.tolist() == [*range(2 * MANY)] and len(found.classes) == 2 * MANY


def test_classes_to_remove(tmp_path: Path) -> None:
    chunks = [Chunk(number, 1, b"", b"", 0) for number in range(MANY)]
    memory = replace(SMALL, classes=names(), chunks=chunks, raw=[])
    path = tmp_path / "mem.drr"
    write(path, replace(memory, classes=[str(name) for name in memory.classes]))
    assert drop(path, [f"é{number:05}" for number in range(1, MANY)]).classes == 1
    assert edit.drop(path, memory, names()[1:]).classes == names()[:1]


def test_classes_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_plan, "check_classes", lambda *_: None)  # of HDF5
    reader: Any = SimpleNamespace(path="file", classes=names(), metadata={}, image_size=(8, 8))
    both = (*new_names(), *names())
    source: Any = SimpleNamespace(place="folder", classes=both, image_size=(8, 8))
    options: Any = SimpleNamespace(extend=True, seed=0)
    append_plan.check_source(reader, source, options)
    plan = append_plan.AppendPlan(source, options, None, 1, "random", None)  # type: ignore[arg-type]
    classes, choice = append._classes_and_raw(reader, plan)
    assert classes == [*names(), *new_names()]
    assert choice.numbers == {number: MANY + number for number in range(MANY)}


def test_classes_of_a_folder() -> None:
    listing = {"train": [ClassPictures(name, Path(name), ()) for name in names()]}
    full: Any = {"train": MANY * [(None,)]}
    checked._refuse_emptied_classes(listing, full, names(), None, "folder")  # type: ignore[arg-type]


def test_ranges_that_are_far_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_GAP_BYTES", 0)
    content = bytes(number % 251 for number in range(4 * MANY))

    class Stand:
        def receive(self, offset: int, size: int, into: bytearray) -> None:
            into += content[offset : offset + size]

    wanted = [(Place(4 * number), 2) for number in range(MANY)]
    found = transfer.fetch(Stand(), [*wanted, (Place(3), 0)])  # type: ignore[arg-type]
    assert found == [content[offset : offset + 2] for offset, _ in wanted] + [b""]


def test_images_of_each_class_are_counted_once(tmp_path: Path) -> None:
    write(tmp_path / "mem.drr", SMALL)
    with Reader(tmp_path / "mem.drr") as reader:
        assert reader.images_per_class is reader.images_per_class
        assert reader.images_per_class.tolist() == [5, 0, 1]
        with pytest.raises(ValueError, match="read-only"):
            reader.images_per_class[0] = 1


def test_nothing_is_read_for_classes_without_raw_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mem.drr", replace(SMALL, raw=[]))
    with Reader(tmp_path / "mem.drr") as reader:
        monkeypatch.setattr(reader, "raw_records", None)
        monkeypatch.setattr(Reader, "images_per_class", None)
        found = raw.read_raw(reader, 0)
    assert found.positions.shape == (0,) and found.images.shape == (0, 32, 48, 3)


# --- codes that `drrpack view` keeps ---


class Counts:
    """A reader of classes of one image each, which counts how often it is asked for all of them."""

    asked = 0

    @property
    def images_per_class(self) -> Any:
        self.asked += 1
        return np.arange(MANY) % 3


def test_classes_that_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_store, "stored_top_shape", lambda _: (1, 1))
    reader: Any = Counts()
    store = code_store.CodeStore(reader)
    monkeypatch.setattr(code_store, "KEPT_BYTES", 100)  # of 10 images
    assert store.together([*range(MANY)], 50) == [*range(8), 50]
    assert store.together([3, 5, 50, 8, 11, 2], 8) == [3, 5, 50, 8, 11, 2]
    assert store.together([5, 8], 5) == [5, 8]
    monkeypatch.setattr(code_store, "KEPT_BYTES", 19)  # less than class 5 takes
    assert store.together([0, 5, 6], 5) == [5]
    assert reader.asked < 5


def test_classes_that_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0

    class Kept(RecentlyUsed[Codes]):
        def __contains__(self, number: object) -> bool:
            nonlocal looked
            looked += 1
            return super().__contains__(number)

    def read(_reader: object, _codec: object, classes: list[int]) -> dict[int, Codes]:
        return {number: Codes.empty((1, 1), 0) for number in classes}

    monkeypatch.setattr(code_store, "stored_top_shape", lambda _: (1, 1))
    monkeypatch.setattr(code_store, "load_codec", lambda *_: object())
    monkeypatch.setattr(code_store, "read_codes", read)
    reader: Any = Counts()
    store = code_store.CodeStore(reader)
    store._codes = Kept(None)
    store.fetch(range(MANY))
    worker = store._worker
    if worker is not None:
        worker.join()
    assert len(store._codes) == MANY and looked < 10 * MANY
