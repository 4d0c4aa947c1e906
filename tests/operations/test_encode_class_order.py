"""The order in which classes are learned: recorded while encoding, taken over by training."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Command
from tiny_memory import encode_tiny, options_for, write_digits

import drrpack
from drrpack import DRRDataset
from drrpack.core.errors import OptionError
from drrpack.formats import metadata
from drrpack.formats.container import Reader, write
from drrpack.operations.encode_plan import plan_encode
from drrpack.trainers.incremental.class_order import order_classes
from drrpack.trainers.incremental.memory_data import MemoryData

pytestmark = pytest.mark.usefixtures("one_thread")

# numpy.random.seed(1993); numpy.random.permutation(10), written down from a run of it
ORDER = [4, 2, 7, 6, 0, 3, 5, 8, 9, 1]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("few") / "digits", train=4, test=1)


@pytest.fixture(scope="module")
def ordered(few: Path) -> Path:
    """A file with a codec that was fitted on the first six classes of the order."""
    made = few.parent / "ordered.drr"
    return encode_tiny(few, made, class_order=1993, fit_classes=6, epochs=2)


@pytest.fixture
def own(ordered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(ordered, tmp_path / "mem.drr"))


def test_the_order_is_that_of_numpy(ordered: Path) -> None:
    state = np.random.RandomState(1993)
    assert state.permutation(10).tolist() == ORDER
    assert DRRDataset(ordered).class_order == ORDER


def test_numbers_of_classes_stay(ordered: Path, few: Path) -> None:
    dataset = DRRDataset(ordered)
    assert dataset.classes == list("0123456789")
    assert [sum(label == n for label in dataset.targets) for n in range(10)] == 10 * [4]
    assert DRRDataset(ordered, classes=["9", "0", "2"]).class_order == [2, 1, 0]


def test_the_codec_is_fitted_on_the_first_of_the_order(ordered: Path) -> None:
    with Reader(ordered) as reader:
        fit, figures = reader.metadata["fit"], reader.metadata["figures"]
    assert fit["names"] == sorted(str(digit) for digit in ORDER[:6])
    assert figures["psnr_on"] == "training images of 4 unseen classes"
    assert sorted(MemoryData(ordered).codec_classes) == fit["names"]


def test_another_file_with_this_codec_knows_what_it_has_seen(
    ordered: Path, few: Path, tmp_path: Path
) -> None:
    drrpack.encode(few, tmp_path / "again.drr", codec=ordered, device="cpu")
    with Reader(tmp_path / "again.drr") as reader:
        assert "class_order" not in reader.metadata
        assert reader.metadata["figures"]["psnr_images"] == 4 * 4  # of the unseen classes
    assert sorted(MemoryData(tmp_path / "again.drr").codec_classes) == sorted(map(str, ORDER[:6]))


def test_training_takes_it_over(ordered: Path, tmp_path: Path, drrpack: Command) -> None:
    some = ["--phases", "2", "--base", "6", "--epochs", "1", "--width", "2", "--no-ceiling"]
    told = drrpack("train", ordered, "--out", tmp_path / "run", *some)
    assert "the codec was fitted on 6 classes, all of the base" in told.output
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["class_order"] == ORDER


def test_one_that_is_given_goes_before(ordered: Path, tmp_path: Path) -> None:
    found, *_ = drrpack.train(
        ordered, tmp_path / "run", class_order=list("9876543210"), base=10, phases=0, epochs=1,
        width=2, ceiling=False,
    )  # fmt: skip
    assert found.class_order == list(range(9, -1, -1))


def test_what_changes_later(own: Path, few: Path, tmp_path: Path) -> None:
    drrpack.drop(own, ["7", "4"])
    assert names(own) == list("26035891")
    more = tmp_path / "more"
    for digit in "74":
        shutil.copytree(few / "train" / digit, more / f"new {digit}")
    drrpack.append(own, more, keep_entropy_model=True, device="cpu")
    assert names(own) == [*"26035891", "new 4", "new 7"], "new classes come last"
    back = tmp_path / "back"
    shutil.copytree(few / "train" / "4", back / "4")
    drrpack.append(own, back, keep_entropy_model=True, device="cpu")
    assert names(own)[-1] == "4", "and so does one that was there before"


def test_files_are_joined_one_after_the_other(own: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.drr", tmp_path / "other.drr"
    for place, digits in ((one, "01234"), (other, "56789")):
        shutil.copy(own, place)
        drrpack.drop(place, list(digits))
    drrpack.merge([one, other], tmp_path / "both.drr")
    assert names(tmp_path / "both.drr") == [*"76589", *"42031"]


def names(path: Path) -> list[str]:
    dataset = DRRDataset(path)
    return [dataset.classes[label] for label in dataset.class_order]


@pytest.mark.parametrize("recorded", [None, 7, "28", {"2": 8}, [2, 7], ["x", "y"], []])
def test_a_record_that_is_none(own: Path, recorded: object) -> None:
    with Reader(own) as reader:
        content = reader.memory()
    notes = {**content.metadata, "class_order": recorded}
    write(own, replace(content, metadata=notes), overwrite=True)
    assert DRRDataset(own).class_order == list(range(10))


def test_a_record_that_names_some_twice() -> None:
    found = metadata.class_order({"class_order": ["b", "b", "x", "a"]}, ["a", "b", "c"])
    assert found == [1, 0, 2]


def test_labels_and_numbers_of_a_program(ordered: Path, tmp_path: Path) -> None:
    digits = list("0123456789")
    assert order_classes(digits, DRRDataset(ordered).class_order) == ORDER
    assert order_classes(digits, np.array(ORDER)) == ORDER  # type: ignore[arg-type]
    assert order_classes(digits, np.int64(1993)) == ORDER  # type: ignore[arg-type]
    listed = tmp_path / "order.json"
    listed.write_text(json.dumps([str(digit) for digit in ORDER]))
    assert order_classes(digits, listed) == ORDER
    for wrong in ([0, 0, 1], [0, 1, 3], [0, "1", 2]):
        with pytest.raises(OptionError, match="a list with each label from 0 to 2 once"):
            order_classes(digits[:3], wrong)


def test_a_list_of_all_classes_serves_some_of_them() -> None:
    wanted = [str(digit) for digit in ORDER]
    assert order_classes(["0", "2", "4"], wanted, others=list("1356789")) == [2, 1, 0]
    with pytest.raises(OptionError, match="has unknown 'x'"):
        order_classes(["0", "2", "4"], [*wanted, "x"], others=list("1356789"))


@pytest.mark.parametrize("wrong", ["absent.json", ["0", "1"], -1])
def test_orders_that_are_none(few: Path, tmp_path: Path, wrong: str) -> None:
    with pytest.raises(OptionError, match="`class_order"):
        plan_encode(options_for(few, tmp_path / "mem.drr", class_order=wrong))
    assert not (tmp_path / "mem.drr").exists()
