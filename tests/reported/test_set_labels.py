"""Reported: braindecode/braindecode#1011: setting targets could change a state that nobody reads,
and the labels of the items stayed what they were, without a word.

Right: labels that a program sets, or writes into the list, are those of items, batches, arrays,
loaders and workers; what can't be a label is refused, and what is read from the file stays right.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from drrpack import DRRDataset, OptionError
from drrpack.operations.export import export

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "context.drr"
COUNT = 240  # 24 of each digit

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


@pytest.fixture
def dataset() -> DRRDataset:
    return DRRDataset(GOLDEN)


def labels_of(dataset: DRRDataset, **options: Any) -> list[int]:
    loader = DataLoader(dataset, batch_size=100, **options)
    return torch.cat([labels for _, labels in loader]).tolist()


def seen_everywhere(dataset: DRRDataset) -> list[int]:
    """The labels, equal by every way to them."""
    found = [label for _, label in dataset.__getitems__(range(COUNT))]
    assert all(type(label) is int for label in found)
    assert found == dataset.targets == [dataset[i][1] for i in range(0, COUNT)]
    labels = dataset.to_numpy()[1]
    assert labels.dtype == np.int64 and labels.tolist() == found
    copied = pickle.loads(pickle.dumps(dataset))
    assert copied.targets == found and copied.to_numpy()[1].tolist() == found
    assert labels_of(dataset) == labels_of(dataset, num_workers=1) == found
    return found


def test_a_label_written_into_the_list(dataset: DRRDataset) -> None:
    dataset.targets[0] = 7
    assert seen_everywhere(dataset) == [7, *[0] * 23, *np.repeat(range(1, 10), 24)]


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, lambda x: np.uint8(x)])
def test_labels_that_are_assigned(dataset: DRRDataset, kind: Any) -> None:
    wanted = [(i * 7) % 13 for i in range(COUNT)]
    dataset.targets = kind(wanted)
    assert seen_everywhere(dataset) == wanted and isinstance(dataset.targets, list)


def test_a_list_that_is_assigned_is_kept(dataset: DRRDataset) -> None:
    mine = [-1] * COUNT
    dataset.targets = mine
    mine[5] = 99
    assert dataset[5][1] == 99 and dataset[4][1] == -1


def test_transforms_see_them() -> None:
    dataset = DRRDataset(GOLDEN, target_transform=lambda label: -label)
    dataset.targets[3] = 5
    assert dataset[3][1] == -5


def test_pairs_have_them() -> None:
    pairs = DRRDataset(GOLDEN, raw="pairs")
    pairs.targets = range(len(pairs))
    assert [label for _, _, label in pairs.__getitems__(range(len(pairs)))] == [*range(len(pairs))]


def test_codes_and_pixels_are_read_by_the_files_own_classes(dataset: DRRDataset) -> None:
    before = dataset.pixels(range(COUNT)), dataset.codes(range(COUNT))
    other = DRRDataset(GOLDEN)
    other.targets, other.classes = [0] * COUNT, ["all"]
    other.preload()
    np.testing.assert_array_equal(other.pixels(range(COUNT)), before[0])
    for found, wanted in zip(other.codes(range(COUNT)), before[1], strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ([0] * 239, "found 239 targets, expected 240, one for each item"),
        (np.zeros(241, int), "found 241 targets"),
        ([0.5] * COUNT, r"found targets\[0\] = 0.5, expected a whole number"),
        ([*[0] * 239, "cat"], r"found targets\[239\] = 'cat'"),
        (torch.zeros(COUNT), r"found targets\[0\] = 0.0"),
        (np.zeros((COUNT, 1), int), r"found targets\[0\] = \[0\]"),
        ([True] * COUNT, r"found targets\[0\] = True"),
        ([2**63] * COUNT, "of 64 bits"),
        ("0" * COUNT, "found targets of type str, expected a list"),
        (None, "found targets of type NoneType"),
        (3, "found targets of type int"),
        ({0: 1}, "found targets of type dict"),
    ],
    ids=range(12),
)
def test_what_cant_be_labels(dataset: DRRDataset, wrong: Any, found: str) -> None:
    with pytest.raises(OptionError, match=found) as caught:
        dataset.targets = wrong
    assert str(GOLDEN) in str(caught.value)
    assert dataset[30][1] == 1 and len(dataset.targets) == COUNT, "as before"


def test_what_is_written_into_the_list_later_is_checked_when_it_counts(dataset: DRRDataset) -> None:
    dataset.targets[0] = "cat"  # type: ignore[call-overload]
    assert dataset[1][1] == 0
    with pytest.raises(OptionError, match=r"targets\[0\] = 'cat'"):
        dataset[0]
    dataset.targets[0] = 0
    dataset.targets.append(1)
    with pytest.raises(OptionError, match="found 241 targets"):
        dataset[0]


# --- names ---


def test_names_that_are_assigned(dataset: DRRDataset) -> None:
    dataset.targets = [label % 2 for label in dataset.targets]
    dataset.classes = ["even", "odd"]
    assert dataset.class_to_idx == {"even": 0, "odd": 1} and "2 classes" in repr(dataset)
    dataset.classes[1] = "not even"
    assert dataset.class_to_idx == {"even": 0, "not even": 1}
    dataset.class_to_idx = {"even": 0, "not even": 1}  # as it is
    assert pickle.loads(pickle.dumps(dataset)).classes == ["even", "not even"]


@pytest.mark.parametrize("wrong", ["abc", [1, 2], None, ["a", "b", "a"], 3])
def test_what_cant_be_names(dataset: DRRDataset, wrong: Any) -> None:
    with pytest.raises(OptionError, match=r"context.drr: found .*, expected"):
        dataset.classes = wrong
    assert dataset.classes == [str(digit) for digit in range(10)]


def test_numbers_of_classes_follow_their_names_and_nothing_else(dataset: DRRDataset) -> None:
    with pytest.raises(OptionError, match="assign classes for other names, and targets"):
        dataset.class_to_idx = {"0": 5}
    for change in (
        lambda numbers: numbers.update({"0": 5}),
        lambda numbers: numbers.__setitem__("0", 5),
        lambda numbers: numbers.pop("0"),
        lambda numbers: numbers.clear(),
    ):
        with pytest.raises(OptionError, match="follows from that list"):
            change(dataset.class_to_idx)
    numbers = dataset.class_to_idx
    assert json.loads(json.dumps(numbers)) == pickle.loads(pickle.dumps(numbers)) == numbers
    assert isinstance(numbers, dict) and numbers["9"] == 9


def test_export_follows_them(dataset: DRRDataset, tmp_path: Path) -> None:
    dataset.targets = [label % 2 for label in dataset.targets]
    with pytest.raises(OptionError, match="without a class"):
        dataset.targets[0] = 10
        export(dataset, tmp_path / "images", "png")
    dataset.targets[0], dataset.classes = 0, ["even", "odd"]
    export(dataset, tmp_path / "images", "png")
    counts = {path.name: len([*path.iterdir()]) for path in (tmp_path / "images").iterdir()}
    assert counts == {"even": 120, "odd": 120}
