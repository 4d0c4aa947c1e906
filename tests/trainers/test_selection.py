"""Choosing classes and their order by what a user types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drrpack.errors import OptionError
from drrpack.trainers.selection import order_classes, select_classes

NAMES = ["ant", "bee", "cat", "dog", "eel, electric", "fox"]
DIGITS = [str(digit) for digit in range(10)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        ("2", [0, 1]),
        ("6", [0, 1, 2, 3, 4, 5]),
        ("2:4", [2, 3]),
        ("4:", [4, 5]),
        (":2", [0, 1]),
        ("dog", [3]),
        ("dog,ant", [3, 0]),
        (" fox , bee ", [5, 1]),
        ("eel, electric", [4]),
    ],
)
def test_classes(wanted: str | None, expected: list[int]) -> None:
    assert select_classes(NAMES, wanted) == expected


@pytest.mark.parametrize(
    "wanted", ["0", "7", "3:3", "4:2", "0:7", "-1", "cow", "ant,cow", "ant,ant", ",", ":", "1:2:3"]
)
def test_classes_that_are_not_there(wanted: str) -> None:
    with pytest.raises(OptionError, match="--classes") as caught:
        select_classes(NAMES, wanted)
    assert wanted in str(caught.value)


def test_a_name_goes_before_a_number() -> None:
    assert select_classes(DIGITS, "4") == [4]
    assert select_classes(DIGITS, "4,2") == [4, 2]
    assert select_classes(DIGITS, "0:4") == [0, 1, 2, 3]


def test_the_order_of_the_file_and_shuffled_ones() -> None:
    assert order_classes(NAMES, "file") == list(range(6))
    assert sorted(order_classes(NAMES, "1")) == list(range(6))
    assert order_classes(NAMES, "1") == order_classes(NAMES, "1") != order_classes(NAMES, "2")


def test_an_order_by_names(tmp_path: Path) -> None:
    listed = tmp_path / "order.json"
    listed.write_text(json.dumps(NAMES[::-1]))
    assert order_classes(NAMES, str(listed)) == [5, 4, 3, 2, 1, 0]


def test_names_that_look_like_numbers(tmp_path: Path) -> None:
    listed = tmp_path / "order.json"
    listed.write_text(json.dumps([*range(9, -1, -1)]))
    assert order_classes(DIGITS, str(listed)) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("content", ["[", "{}", "7", '["ant"]', json.dumps([*NAMES, "ant"])])
def test_lists_that_are_none(tmp_path: Path, content: str) -> None:
    listed = tmp_path / "order.json"
    listed.write_text(content)
    with pytest.raises(OptionError, match="--class-order") as caught:
        order_classes(NAMES, str(listed))
    assert str(listed) in str(caught.value)


@pytest.mark.parametrize("wanted", ["absent.json", "-1", "", "."])
def test_orders_that_are_none(wanted: str) -> None:
    with pytest.raises(OptionError, match="--class-order"):
        order_classes(NAMES, wanted)
