"""Appending to files whose metadata are strange, and appending that is broken off."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_memory import GOLDEN_CONTEXT, write_digits

from drrpack.core.codec import Codec
from drrpack.core.errors import CorruptError, OptionError, OutputError
from drrpack.core.progress import Notice
from drrpack.formats import layout
from drrpack.formats.container import Reader, write
from drrpack.formats.hdf5.limits import OTHER_NOTES_BYTES
from drrpack.formats.layout import dump_json
from drrpack.formats.sources.source import Source
from drrpack.formats.sources.splits import ALL, Split
from drrpack.operations import append_models
from drrpack.operations.append import append
from drrpack.operations.append_plan import AppendOptions, opened_source, plan_append, suited
from drrpack.operations.encode import encode
from drrpack.operations.encoding import pieces
from drrpack.trainers.fitting.loop import Budget

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits under other names."""
    folder = write_digits(tmp_path_factory.mktemp("more") / "digits", train=2, test=1) / "train"
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"again{number}")
    return folder


def run(path: Path, source: Path, *, keep: bool = True) -> None:
    append(path, source, keep_entropy_model=keep, epochs=None if keep else 1, device="cpu")


def with_metadata(path: Path, metadata: dict[str, Any]) -> None:
    with Reader(path) as reader:
        content = reader.memory()
    write(path, replace(content, metadata=metadata), overwrite=True)


def test_what_cant_be_understood_counts_as_absent(own_drr: Path, more: Path) -> None:
    with_metadata(own_drr, {"raw": 5, "sources": [5], "figures": [1], "fit": "by hand"})
    run(own_drr, more)
    with Reader(own_drr) as reader:
        reader.verify()
        assert len(reader.classes) == 20 and len(reader.raw_index) == 0
        assert [row["name"] for row in reader.metadata["sources"]] == [more.name]


def test_the_same_images_again(own_drr: Path, more: Path, tmp_path: Path) -> None:
    """Of a single part: nothing is left beside the file that an append of them was killed."""
    run(own_drr, more)
    with pytest.raises(OptionError, match=r"holds the images of .* nothing is left to do"):
        run(own_drr, more)
    other = write_digits(tmp_path / "digits", train=3, test=1) / "train"
    for number, path in enumerate(sorted(other.iterdir())):
        path.rename(other / f"again{number}")
    with pytest.raises(OptionError, match="has a class 'again0' already"):
        run(own_drr, other)
    for source, told in ((other, 0), (more, 1)):
        events = list[object]()
        append(
            own_drr, source, keep_entropy_model=True, extend=True, device="cpu",
            report=events.append,
        )  # fmt: skip
        notices = [event for event in events if isinstance(event, Notice)]
        assert sum("each once more" in notice.text for notice in notices) == told


def test_a_large_class_is_encoded_in_parts_to_the_same_codes(
    own_drr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec may give other codes in other batches, so parts are of whole ones."""
    digits = write_digits(tmp_path / "digits", train=30, test=1) / "train"
    more = tmp_path / "more"
    for digit in "27":
        shutil.copytree(digits / digit, more / f"again {digit}")
    monkeypatch.setattr("drrpack.core.encoder.PIXELS_AT_ONCE", 8 * 32 * 32)
    before, read = own_drr.read_bytes(), list[int]()
    run(own_drr, more)
    whole = own_drr.read_bytes()
    own_drr.write_bytes(before)
    honest = Source.load

    def counted(self: Source, number: int, split: Split = "train", rows: Any = ALL) -> Any:
        found = honest(self, number, split, rows)
        read.append(len(found))
        return found

    monkeypatch.setattr(Source, "load", counted)
    monkeypatch.setattr(pieces, "PIXEL_BYTES", 20 * 3 * 32 * 32)
    run(own_drr, more)
    assert read[:4] == [16, 14] * 2 and own_drr.read_bytes() == whole


def test_names_that_leave_no_room_are_refused_before_the_work(
    own_drr: Path, more: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reader(own_drr) as reader:
        known = len(dump_json(reader.metadata))
    monkeypatch.setattr(layout, "MAX_JSON_BYTES", OTHER_NOTES_BYTES + known + 10)
    monkeypatch.setattr(Codec, "encode", lambda *_: 1 / 0)
    before = own_drr.read_bytes()
    with pytest.raises(OutputError, match=r"mem.drr: can't be written: its metadata name .* there"):
        run(own_drr, more)
    assert own_drr.read_bytes() == before
    names = [f"again{number}" for number in range(10)]
    monkeypatch.setattr(layout, "MAX_JSON_BYTES", OTHER_NOTES_BYTES + len(dump_json({"": names})))
    for way in ({}, {"class_order": names[::-1], "shard_mb": 10}):
        with pytest.raises(OutputError, match="write several files of fewer classes"):
            encode(more, tmp_path / "new.drr", codec=GOLDEN_CONTEXT, **way)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        encode(more, tmp_path / "new.drr", codec=GOLDEN_CONTEXT, shard_mb=10)


@pytest.mark.parametrize("raw", [{"per_class": "many"}, {"per_class": 2, "select": "best"}])
def test_a_choice_of_raw_images_that_is_none(
    own_drr: Path, more: Path, raw: dict[str, Any]
) -> None:
    with_metadata(own_drr, {"raw": raw})
    before = own_drr.read_bytes()
    with pytest.raises(CorruptError, match=r"mem.drr: it keeps .* expected a number and one of"):
        run(own_drr, more)
    assert own_drr.read_bytes() == before


def test_broken_off_before_a_checkpoint_leaves_nothing(
    own_drr: Path, more: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(append_models, "tune_entropy", broken_off)
    with pytest.raises(KeyboardInterrupt):
        run(own_drr, more, keep=False)
    assert list(own_drr.parent.iterdir()) == [own_drr]


@pytest.mark.parametrize(
    ("images", "device", "minutes"),
    [
        (49_900, "cpu", 10),
        (500_000, "cpu", 10),
        (24_880, "cpu", 5),
        (0, "cpu", 0.1),
        (99_999, "cuda", 3),
    ],
)
def test_tuning_takes_as_long_as_suits_the_number_of_images(
    own_drr: Path, more: Path, images: int, device: str, minutes: float
) -> None:
    """A minute for each 5,000 images of the file as it will be, 20 of which are appended."""
    options = AppendOptions(own_drr, more, torch.device("cpu"), None)
    with Reader(own_drr) as reader:
        source = opened_source(reader, options)
        plan = plan_append(reader, source, replace(options, budget=Budget(epochs=2)))
        assert plan.budget == Budget(epochs=2), "what the user says stands"
        have = int(reader.images_per_class.sum())
        plan = plan_append(reader, source, options)
        assert plan.budget.minutes == 0.1 and have == 300
    assert suited(images + 120, device).minutes == minutes
