"""Options of methods: from text and from Python, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.options import (
    MethodOptions,
    make_options,
    option,
    parse_settings,
)


@dataclass(frozen=True)
class Several(MethodOptions):
    weight: float = option(0.5, before=0.5)
    temperature: float = 2.0
    count: int = 20
    symmetric: bool = False
    head: Literal["dense", "cosine"] = "dense"
    label: str = "x"
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}, expected more than 0")


def made(**values: Any) -> Several:
    return make_options(Several, "mine", values)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("temperature", "1.5", 1.5), ("temperature", "1e-3", 0.001), ("temperature", 3, 3.0),
        ("count", "7", 7), ("count", 7, 7), ("symmetric", "true", True), ("symmetric", "no", False),
        ("symmetric", True, True), ("head", "cosine", "cosine"), ("label", "7", "7"),
        ("limit", "none", None), ("limit", None, None), ("limit", "3", 3),
    ],
)  # fmt: skip
def test_values(name: str, value: object, wanted: object) -> None:
    found = getattr(made(**{name: value}), name)
    assert found == wanted and type(found) is type(wanted)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temperature", "warm", "mine's option temperature: found 'warm', expected float"),
        ("temperature", "nan", "expected float"), ("temperature", True, "expected float"),
        ("count", "1.5", "found '1.5', expected int"), ("count", 1.5, "expected int"),
        ("symmetric", "perhaps", "expected bool"), ("symmetric", 2, "expected bool"),
        ("head", "round", "expected 'dense' or 'cosine'"), ("label", 7, "expected str"),
        ("limit", "x", "expected int or none"), ("temperature", "0", "expected more than 0"),
    ],
)  # fmt: skip
def test_values_of_another_type(name: str, value: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        made(**{name: value})


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(OptionError) as caught:
        made(temprature=1)
    assert "'mine' has no option 'temprature'" in str(caught.value)
    assert "temperature (float, 2.0), count (int, 20)" in str(caught.value)
    with pytest.raises(OptionError, match="it has none"):
        make_options(MethodOptions, "plain", {"temperature": 1})


def test_what_is_recorded() -> None:
    assert "weight" not in made().recorded() and made(weight=0.6).recorded()["weight"] == 0.6
    assert made().recorded()["temperature"] == 2.0, "a default may be another one day"
    assert MethodOptions().recorded() == {}


def test_text_of_the_command_line() -> None:
    assert parse_settings(["a=1", " b = x=y "]) == {"a": "1", "b": "x=y"}
    for wrong, message in ((["a"], "--set a: found no '='"), (["=1"], "after a name")):
        with pytest.raises(OptionError, match=message):
            parse_settings(wrong)
    with pytest.raises(OptionError, match="a was set before"):
        parse_settings(["a=1", "a=2"])
