"""Arguments of the library in messages, as options of the command line."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from drrpack.cli.app import app
from drrpack.cli.spelling import OPTIONS, spelled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`size=0`: expected 1", "--size 0: expected 1"),
        ("say `raw_per_class=N`, or `thin`", "say --raw-per-class N, or --thin"),
        ("`skip_bad=True`", "--skip-bad"),
        ("`value_range=(-1, 3.5)`", "--range -1 3.5"),
        ("`train_at=[60, 120]`", "--train-at 60,120"),
        ("`entropy='a b'` and `entropy=\"it's\"`", "--entropy a b and --entropy it's"),
        ("`fit='finetune'`, `fit='decoder'`", "--finetune, --finetune-decoder"),
        ("`depth='full'` or `depth=12`", "--full or --depth 12"),
        ("`source=DIR`", "--source DIR"),
        ("`drrpack train --out` `nothing` '`cat`' `x=1`",) * 2,
        ("`size", "`size"),
        ("`entropy='cut`", "--entropy 'cut"),
    ],
)
def test_texts(text: str, shown: str) -> None:
    assert spelled(text) == shown


def test_options_are_those_of_the_commands() -> None:
    """What is listed exists; what exists and takes a value or is a switch is listed."""
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    offered: dict[str, set[str]] = {}
    for command in commands.values():
        for one in command.params:
            if one.param_type_name == "option":
                offered.setdefault(one.name, set()).update(one.opts)
    assert set(offered) - {"as_json", "config", "json", "quiet"} == OPTIONS
    for name, spellings in offered.items():
        if name in OPTIONS:
            assert spelled(f"`{name}`") in spellings, name
