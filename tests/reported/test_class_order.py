"""Reported: JH-LEE-KR/dualprompt-pytorch#3: the classes came in another order than in the code that
the results were compared with, and the accuracies were others.

Right: a number shuffles the classes as the literature does, which prints its order for 1993; and a
list that won't do is refused by the names that are wrong with it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.class_order import order_classes

HUNDRED = [f"class {number}" for number in range(100)]
PRINTED = [68, 56, 78, 8, 23, 84, 90, 65, 74, 76, 40, 89, 3, 92, 55, 9, 26, 80, 43, 38]  # of 1993
PRINTED_LAST = [51, 48, 73, 93, 39, 67, 29, 49, 57, 33]


def test_the_order_that_the_literature_prints() -> None:
    state = np.random.get_state()[1].tolist()  # type: ignore[union-attr, index]
    order = order_classes(HUNDRED, "1993")
    assert order[:20] == PRINTED and order[-10:] == PRINTED_LAST
    assert sorted(order) == list(range(100))
    assert np.random.get_state()[1].tolist() == state  # type: ignore[union-attr, index]


def test_a_number_that_numpy_does_not_take() -> None:
    for seed in (str(2**32), "9" * 5000):
        with pytest.raises(OptionError, match="expected a number from 0 to 4294967295"):
            order_classes(HUNDRED, seed)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (["ant", "cat"], ["lacks 'bee'"]),
        (["ant", "bee", "cat", "dog"], ["has unknown 'dog'"]),
        (["ant", "bee", "cat", "bee"], ["has more than once 'bee'"]),
        (["ant", "ant", 7], ["lacks 'bee', 'cat'", "has unknown '7'", "has more than once 'ant'"]),
    ],
)
def test_what_is_wrong_with_a_list_is_named(
    listed: list[object], said: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "order.json"
    path.write_text(json.dumps(listed))
    with pytest.raises(OptionError) as caught:
        order_classes(["ant", "bee", "cat"], str(path))
    message = str(caught.value)
    assert str(path) in message and "each of the 3 class names once" in message
    found = message.partition("found a list that ")[2]
    for part in said:
        assert part in found
    assert len(said) == sum(word in message for word in ("lacks", "unknown", "more than once"))


def test_what_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    path.write_text('{"ant": 1}')
    with pytest.raises(OptionError, match="found a JSON dict, expected a list of all 3 class"):
        order_classes(["ant", "bee", "cat"], str(path))
