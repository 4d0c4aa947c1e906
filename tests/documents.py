"""The blocks of code in README and docs/, and whether the suite runs them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    "ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
]  # fmt: skip
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")
FILE = re.compile(r"<!-- file: ([\w.]+) -->")


@dataclass(frozen=True)
class Block:
    """A block of code: where it stands and its language, ``""`` where none is said.

    A comment above it may say why it is not run, or as which file the reader is to save it.
    """

    document: str
    line: int
    language: str  # "indented" for a block without a fence
    text: str
    reason: str | None = None
    file: str | None = None

    @property
    def first(self) -> str:
        return self.text.strip().splitlines()[0]


def blocks(document: str, text: str | None = None) -> list[Block]:
    """All blocks of a document, in order."""
    source = (ROOT / document).read_text("utf-8") if text is None else text
    return list(_blocks(document, MarkdownIt().parse(source)))


def _blocks(document: str, tokens: list[Token]) -> Iterator[Block]:
    comment = ""
    for token in tokens:
        if token.type in ("fence", "code_block"):
            language = token.info.strip() if token.type == "fence" else "indented"
            line = token.map[0] + 1 if token.map else 0
            reason, file = (said(pattern, comment) for pattern in (NOT_RUN, FILE))
            yield Block(document, line, language, token.content, reason, file)
        comment = token.content if token.type == "html_block" else ""


def said(pattern: re.Pattern[str], comment: str) -> str | None:
    found = pattern.match(comment)
    return found[1] if found else None


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of each line of a shell block; a line may go on after ``\\``."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words
