"""Counts and sizes in messages."""

from __future__ import annotations

import pytest

from drrpack.core.wording import counted, sides


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "phase", "0 phases"), (1, "phase", "1 phase"), (2, "phase", "2 phases"),
        (1, "class", "1 class"), (3, "class", "3 classes"),
    ],
)  # fmt: skip
def test_a_noun_in_the_plural_unless_there_is_one(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text


def test_sizes_have_the_width_first() -> None:
    assert sides((480, 640)) == "640x480"
