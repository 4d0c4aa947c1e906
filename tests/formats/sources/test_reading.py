"""How pictures are to be read: what can't be, and what a file's metadata give back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from drrpack.core.errors import OptionError
from drrpack.formats.sources.reading import Reading


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "`size=0`: expected 1 or more"),
        ({"size": 4097}, "`size=4097`: expected a whole number of pixels, 4096 at most"),
        ({"size": "32"}, "`size='32'`: expected a whole number"),
        ({"size": 2.5}, "`size=2.5`: expected a whole number"),
        ({"size": True}, "`size=True`: expected a whole number"),
        ({"depth": 0}, "`depth=0`: expected 1 to 32 bits"),
        ({"depth": 33}, "`depth=33`: expected 1 to 32 bits"),
        ({"value_range": (5, 5)}, "`value_range=(5, 5)`: expected two numbers"),
        ({"value_range": (0, float("inf"))}, "`value_range=(0, inf)`: expected two numbers"),
        ({"depth": 12, "value_range": (0, 1)}, "`depth` and `value_range`, expected one"),
        ({"max_megapixels": 0}, "`max_megapixels=0`: expected"),
        ({"max_megapixels": float("nan")}, "`max_megapixels=nan`: expected"),
        ({"max_megapixels": 10**400}, "`max_megapixels=inf`: expected"),
        ({"value_range": (-(10**400), 1)}, "`value_range=(-inf, 1)`: expected two numbers"),
    ],
)
def test_what_can_not_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=re.escape(words)):
        Reading(**options).check()


@pytest.mark.parametrize(
    "reading",
    [
        Reading(),
        Reading(32, 12),
        Reading(value_range=(-1024.0, 3071.5)),
        Reading(64, max_megapixels=120.5),
    ],
)
def test_through_json(reading: Reading) -> None:
    assert Reading.from_json(json.loads(json.dumps(reading.to_json()))) == reading


def test_what_is_not_said_is_not_recorded() -> None:
    """So the metadata of a file of ordinary pictures stay as they were."""
    assert Reading(32).to_json() == {"size": 32} and Reading().to_json() == {"size": None}


@pytest.mark.parametrize(
    "kept",
    [
        {"size": "32", "depth": True, "range": [0], "max_megapixels": None},
        {"size": -1, "depth": 99, "range": [2, 1], "max_megapixels": -3.0},
        {"depth": 12.0, "range": ["0", "1"]},
        {"range": {"0": 1}},
        {"range": [0, 10**400], "max_megapixels": 10**400, "size": 10**400, "depth": 10**400},
        {"range": [-1.7e308, 1.7e308]},
    ],
)
def test_what_a_file_says_in_vain(kept: dict[str, Any]) -> None:
    assert Reading.from_json(kept) == Reading()


def test_what_was_said_before() -> None:
    before = Reading(32, 12, None, 200.0)
    assert Reading().or_as(before) == before
    assert Reading(64, value_range=(0, 1)).or_as(before) == Reading(64, None, (0, 1), 200.0)
