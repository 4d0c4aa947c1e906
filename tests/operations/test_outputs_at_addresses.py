"""Commands and functions write on this machine alone, and say so before they work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command import Command

import drrpack as library
from drrpack import OutputError

FUNCTIONS: dict[str, Callable[[Path, str], object]] = {
    "encode": lambda place, address: library.encode(place, address),
    "merge": lambda place, address: library.merge([place, place], address),
    "export": lambda place, address: library.export(place, address),
    "preview": lambda place, address: library.preview(place, address),
    "train": lambda place, address: library.train(place, out=address),
}
COMMANDS = {
    "encode": "encode {place} -o {address}",
    "merge": "merge {place} {place} -o {address}",
    "export": "export {place} {address}",
    "preview": "preview {place} -o {address}",
    "train": "train {place} --out {address}",
    "report": "report {place} -o {address}",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=r"s3://bucket/x: found an address, expected a path: drr"):
        FUNCTIONS[name](tmp_path, "s3://bucket/x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drrpack: Command, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    words = COMMANDS[name].format(place=tmp_path, address="s3://anna:pass@bucket/x").split()
    message = drrpack.refused(*words, naming=("s3://***@bucket/x: found an address",))
    assert "copy it to the address" in message and not list(tmp_path.iterdir())
