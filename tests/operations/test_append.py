"""Appending to files whose metadata are strange, and appending that is broken off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_memory import write_digits

from drrpack.core.errors import CorruptError
from drrpack.formats.container import Reader, write
from drrpack.operations import append as appending
from drrpack.operations.append import append
from drrpack.operations.append_plan import AppendOptions, plan_append, suited
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

    monkeypatch.setattr(appending, "tune_entropy", broken_off)
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
        plan = plan_append(reader, replace(options, budget=Budget(epochs=2)))
        assert plan.budget == Budget(epochs=2), "what the user says stands"
        have = int(reader.images_per_class.sum())
        plan = plan_append(reader, options)
        assert plan.budget.minutes == 0.1 and have == 300
    assert suited(images + 120, device).minutes == minutes
