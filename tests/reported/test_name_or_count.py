"""Reported: pandas-dev/pandas#14218: a number in ``.ix`` was a label or a position, depending on
the data, without a word; its users got other rows than they had meant.

Right: what may be a name or a count is taken in one way, which is said, and there is a spelling for
each of the two.
"""

from __future__ import annotations

import pytest

from drrpack.cli.telling import tell
from drrpack.core.errors import OptionError
from drrpack.formats.class_names import NameFinder
from drrpack.formats.selection import how_taken, named_class, select_classes
from drrpack.operations.preparing import chosen_classes

DIGITS = [str(digit) for digit in range(10)]
PRIMES = ["2", "3", "5", "7", "11", "13"]


def test_a_name_that_is_a_number_is_said_to_be_taken_as_a_name() -> None:
    assert select_classes(DIGITS, "4") == [4]
    said = how_taken(DIGITS, "4")
    assert said is not None and "name of the class '4'" in said and "0:4" in said
    assert select_classes(DIGITS, "0:4") == [0, 1, 2, 3]


def test_a_count_among_names_that_are_numbers_is_said_to_be_a_count() -> None:
    assert select_classes(PRIMES, "4") == [0, 1, 2, 3]
    said = how_taken(PRIMES, "4")
    assert said is not None and "first 4 classes" in said and "name:4" in said
    with pytest.raises(OptionError, match="there is no class '4'"):
        select_classes(PRIMES, "name:4")


def test_a_name_can_be_forced() -> None:
    assert select_classes(DIGITS, "name:4") == [4]
    assert select_classes(PRIMES, "name:5,name:11") == [2, 4]
    assert how_taken(DIGITS, "name:4") is None
    assert named_class(NameFinder(DIGITS), "name:4") == 4


@pytest.mark.parametrize("wanted", [None, "2", "1:3", "ant", "ant,bee"])
def test_nothing_is_said_where_there_is_one_way(wanted: str | None) -> None:
    assert how_taken(["ant", "bee", "cat"], wanted) is None


def test_names_with_colons_and_commas() -> None:
    names = ["0:2", "a", "b", "a,b", "name:a", "eel, electric"]
    assert select_classes(names, "0:2") == [0]
    said = how_taken(names, "0:2")
    assert said is not None and "00:2" in said
    assert select_classes(names, "00:2") == [0, 1]
    assert select_classes(names, "a,b") == [3]
    assert select_classes(names, "eel, electric,b") == [5, 2]
    assert select_classes(names, "name:eel, electric,name:0:2") == [5, 0]
    assert select_classes(names, "name:a") == [4]
    said = how_taken(names, "name:a")
    assert said is not None and "for the class 'a' say a" in said


def test_the_other_spelling_that_is_offered_gives_the_other_classes() -> None:
    for names, wanted in ((DIGITS, "4"), (["0:2", "a", "b"], "0:2"), (["a", "b", "a,b"], "a,b")):
        said = how_taken(names, wanted)
        assert said is not None
        other = said.rpartition(" say ")[2]
        assert select_classes(names, other) not in ([], select_classes(names, wanted))


def test_it_is_said_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen_classes(DIGITS, "4", tell) == [4]
    shown = capsys.readouterr()
    assert "taken as the name" in shown.err and shown.out == ""
