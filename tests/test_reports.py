"""tests/reported: each file says whose fault it is about, what is right, and holds a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "reported"
FILES = sorted(FOLDER.glob("test_*.py"))
REPORTED = re.compile(r"\AReported: [\w.-]+/[\w.-]+#[1-9]\d*: \S")  # owner/repo#number: what
RIGHT = re.compile(r"^Right: \S", re.MULTILINE)

GOOD = '''"""Reported: owner/some.repo#12: what its users saw.

Right: what is right.
"""
def test_it(): pass
'''


def wrong_with(text: str) -> list[str]:
    """What a file of the collection lacks."""
    tree = ast.parse(text)
    words = ast.get_docstring(tree) or ""
    tests = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    found = {
        "Reported: owner/repo#number: ...": REPORTED.search(words),
        "Right: ...": RIGHT.search(words),
        "a test": tests,
    }
    return [what for what, there in found.items() if not there]


def test_there_is_a_collection() -> None:
    assert len(FILES) >= 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_names_a_report_and_what_is_right(path: Path) -> None:
    assert wrong_with(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new", "lacking"),
    [
        ("Reported", "Seen", "Reported: owner/repo#number: ..."),
        ("owner/some.repo", "some.repo", "Reported: owner/repo#number: ..."),
        ("#12", "", "Reported: owner/repo#number: ..."),
        ("what its users saw.", "", "Reported: owner/repo#number: ..."),
        ("Right: what", "What", "Right: ..."),
        ("def test_it", "def helper", "a test"),
    ],
)
def test_what_is_missing_is_noticed(old: str, new: str, lacking: str) -> None:
    assert wrong_with(GOOD) == [] and GOOD.count(old) == 1
    assert wrong_with(GOOD.replace(old, new)) == [lacking]
