"""Choosing classes and their order by what a user types."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from drrpack.core.errors import OptionError
from drrpack.formats.class_names import NameFinder
from drrpack.formats.selection import select_classes
from drrpack.trainers.incremental import class_order
from drrpack.trainers.incremental.class_order import order_classes

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
    "wanted",
    ["0", "7", "3:3", "4:2", "0:7", "-1", "cow", "ant,cow", "ant,ant", "", ",", ":", "1:2:3"],
)
def test_classes_that_are_not_there(wanted: str) -> None:
    with pytest.raises(OptionError, match="classes=") as caught:
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
    with pytest.raises(OptionError, match="`class_order") as caught:
        order_classes(NAMES, str(listed))
    assert str(listed) in str(caught.value)


def test_a_list_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a thousand classes anything else takes minutes."""
    made: list[object] = []
    monkeypatch.setattr(class_order, "set", lambda of: made.append(of) or frozenset(of), False)
    assert order_classes(NAMES, NAMES[::-1]) == [5, 4, 3, 2, 1, 0]
    assert len(made) <= 1


@pytest.mark.parametrize("wanted", ["absent.json", "-1", "", "."])
def test_orders_that_are_none(wanted: str) -> None:
    with pytest.raises(OptionError, match="`class_order"):
        order_classes(NAMES, wanted)


COMPOSED, APART = (unicodedata.normalize(form, "naïve") for form in ("NFC", "NFD"))


def test_accents_in_their_other_form(tmp_path: Path) -> None:
    for name, typed in ((COMPOSED, APART), (APART, COMPOSED)):
        names = ["ant", name]
        finder = NameFinder(names)
        assert finder.find(name) == finder.find(typed) == 1
        assert select_classes(names, typed) == [1]
        assert select_classes(names, f"{typed},ant") == [1, 0]
        with pytest.raises(OptionError, match="once"):
            select_classes(names, f"{typed},{name}")
        listed = tmp_path / "order.json"
        listed.write_text(json.dumps([typed, "ant"]))
        assert order_classes(names, str(listed)) == [1, 0]


def test_classes_that_differ_by_form_alone() -> None:
    names = [APART, COMPOSED]
    finder = NameFinder(names)
    assert (finder.find(APART), finder.find(COMPOSED)) == (0, 1)
    marks = "a\u0323\u0301", "a\u0301\u0323"  # dot below and acute, in either order
    assert unicodedata.normalize("NFC", marks[0]) == unicodedata.normalize("NFC", marks[1])
    assert NameFinder(marks).find(unicodedata.normalize("NFC", marks[0])) is None, (
        "it may be either"
    )


def test_names_are_shown_without_what_a_terminal_obeys() -> None:
    names = ["\x1b[2J", "two\nlines", "\u202eback", "naïve"]
    with pytest.raises(OptionError, match="no class 'cow'") as caught:
        select_classes(names, "cow")
    message = str(caught.value)
    assert message.isprintable() and "naïve" in message and r"\x1b[2J" in message
    assert not message.endswith("…")
