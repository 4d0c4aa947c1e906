"""Words in messages: counts such as 1 phase and 2 phases, sizes, and values cut short."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5  # of the names in a list


def counted(count: int, noun: str) -> str:
    """A count and its noun, in the plural unless the count is 1: ``1 class``, ``2 classes``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def sides(size: tuple[int, ...]) -> str:
    """The size (height, width) of an image as viewers say it, the width first: ``640x480``."""
    height, width = size
    return f"{width}x{height}"


def shortened(value: object) -> str:
    """The repr of a value in one line, of 60 characters at most."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def few(names: Sequence[str]) -> str:
    """The first names, quoted and escaped, because names in a file may hold any character."""
    return f"{', '.join(map(repr, names[:SHOWN]))}{', …' if names[SHOWN:] else ''}"
