"""Methods by name, by module and class, and as a class; and what is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.methods import METHODS, Method, get_method
from drrpack.trainers.incremental.registry import origin

HEAD = """
from drrpack.trainers.incremental.methods import Method

class Mine(Method):
    {body}
    name = "mine"
    needs = frozenset({{"replayed"}})
    def train_phase(self, context): ...
    def memory_bytes(self, context): return {{}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def write(folder: Path, text: str, name: str = "own_methods.py") -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_a_class_in_the_current_folder(folder: Path) -> None:
    write(folder, HEAD.format(body=""))
    found = get_method("own_methods:Mine")
    assert found.name == "mine" and issubclass(found, Method)
    assert origin(found) == "own_methods:Mine" and get_method(found) is found
    assert "mine" not in METHODS
    assert origin(METHODS["drr"]) is None


def test_a_class_in_a_package(folder: Path) -> None:
    write(folder, HEAD.format(body=""), "own_package/methods.py")
    assert get_method("own_package.methods:Mine").name == "mine"


@pytest.mark.parametrize(
    ("wanted", "text", "message"),
    [
        ("absent:Mine", "", r"found no module 'absent', expected the file absent\.py"),
        ("a.b:Mine", "", r"found no module 'a\.b', expected the file a/b\.py"),
        ("own_methods:Other", HEAD.format(body=""), r"no 'Other' in .*own_methods:Mine"),
        ("own_methods:Mine", "x = 1", r"no 'Mine' in .*no method at all"),
        ("own_methods:", "x = 1", r"no '' in"),
        ("own_methods:Mine", "def f(:", r"importing 'own_methods' failed with SyntaxError"),
        ("own_methods:Mine", "1 / 0", r"failed with ZeroDivisionError: division by zero"),
        ("own_methods:Mine", "import not_there", r"own_methods imports 'not_there', .* install it"),
        ("own_methods:Mine", "class Mine: pass", r"expected a class derived from .*Method"),
        ("own_methods:Mine", "Mine = 7", r"found 7, expected a class derived"),
        (
            "own_methods:Mine",
            "from drrpack.trainers.incremental.methods import Method\nclass Mine(Method): pass",
            r"own_methods:Mine is not a whole method: it lacks memory_bytes\(\); it lacks "
            r"train_phase\(\); it lacks a name.*its needs are None, expected a frozenset of: rep",
        ),
        (
            "own_methods:Mine",
            HEAD.format(body="").replace("replayed", "every image"),
            r"its needs are .*every image",
        ),
        (
            "own_methods:Mine",
            HEAD.format(body="").replace('"mine"', '"../mine"'),
            r"its name is '\.\./mine', expected letters",
        ),
        (
            "own_methods:Mine",
            HEAD.format(body="").replace('"mine"', '"drr"'),
            r"is called 'drr', as a method of drrpack is",
        ),
        (
            "own_methods:Mine",
            HEAD.format(body="def __init__(self): pass"),
            r"def __init__\(self, options=None\): super\(\)\.__init__\(options\)",
        ),
    ],
)
def test_what_is_no_method(folder: Path, wanted: str, text: str, message: str) -> None:
    write(folder, text)
    with pytest.raises(OptionError, match=message):
        get_method(wanted)


def test_a_name_that_there_is_not() -> None:
    there = r"'magic'; there are: der, drr, drr-soft, er, .*package.module:Class"
    with pytest.raises(OptionError, match=there):
        get_method("magic")
