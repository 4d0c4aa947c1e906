"""Paths that users give: drrpack, not the parser of its options, says why one can't be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import get_type_hints

import pytest
from command import Command

from drrpack.cli import places
from drrpack.cli.app import COMMANDS


def test_drrpack_parses_every_path() -> None:
    """typer's own parser ends with its own code and box, where --json promises JSON of failures as
    well, and pathlib makes a path of an address."""
    found = 0
    for command in COMMANDS:
        for name, hint in get_type_hints(command, include_extras=True).items():
            (parameter,) = getattr(hint, "__metadata__", [None])
            parser = getattr(parameter, "parser", None)
            if "pathlib.Path" in str(hint):
                assert parser in (places.path, places.output), f"{command.__name__}: {name}"
            found += parser in (places.path, places.output, places.path_or_address)
    assert found > 25


@pytest.fixture
def unreadable(own_drr: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that may not be read, whoever runs the tests: root may read everything."""
    opened, accessed = os.open, os.access

    def refuse(path: object, *rest: int, **options: int) -> int:
        if str(path) == str(own_drr):
            raise PermissionError(13, "Permission denied", str(own_drr))
        return opened(path, *rest, **options)  # type: ignore[arg-type]

    def may(path: object, mode: int, **options: bool) -> bool:
        return str(path) != str(own_drr) and accessed(path, mode, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", may)
    return own_drr


@pytest.mark.parametrize("command", ["stats", "verify"])
def test_a_file_that_may_not_be_read(drrpack: Command, unreadable: Path, command: str) -> None:
    drrpack.refused(command, unreadable, naming=(unreadable, "Permission denied"), code=6)


def test_a_file_that_may_not_be_read_as_json(drrpack: Command, unreadable: Path) -> None:
    done = drrpack("verify", unreadable, "--json")
    assert done.code == 6
    told = json.loads(done.output)
    assert (told["kind"], told["exit_code"], told["sound"]) == ("ReadError", 6, False)
