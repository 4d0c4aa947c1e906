"""Which classes of a file to train on, and in which order."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from drrpack.errors import OptionError


def select_classes(names: Sequence[str], wanted: str | None) -> list[int]:
    """Numbers of the classes that ``wanted`` asks for: ``20``, ``50:70`` or names with commas.

    Raises OptionError for a class that is not there, and for a choice of none.
    """
    if wanted is None:
        return list(range(len(names)))
    alone = find_class(names, wanted)
    if alone is not None:
        return [alone]
    first, colon, last = wanted.partition(":")
    if all(part == "" or part.isdecimal() for part in (first, last)) and wanted != ":":
        start, stop = (int(first or 0), last) if colon else (0, first)
        end = int(stop) if stop else len(names)
        if not 0 <= start < end <= len(names):
            raise OptionError(f"--classes {wanted}: there are {len(names)} classes, 0:{len(names)}")
        return list(range(start, end))
    parts = [part.strip() for part in wanted.split(",") if part.strip()]
    found = [find_class(names, part) for part in parts]
    numbers = [number for number in found if number is not None]
    if None in found:
        what = f"there is no class {parts[found.index(None)]!r}"
        raise OptionError(f"--classes {wanted}: {what}; there are {few(names)}")
    if len(set(numbers)) < len(parts) or not parts:
        raise OptionError(f"--classes {wanted}: name each class once; there are {few(names)}")
    return numbers


def find_class(names: Sequence[str], wanted: str) -> int | None:
    """The number of the class called ``wanted``, else of the only one that is written in the same
    letters: keyboards and file systems compose accents in two ways that look alike."""
    if wanted in names:
        return names.index(wanted)
    same = [n for n, name in enumerate(names) if _composed(name) == _composed(wanted)]
    return same[0] if len(same) == 1 else None


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def few(names: Sequence[str]) -> str:
    """The first names, quoted and escaped: those of a foreign file may hold anything."""
    return f"{', '.join(map(repr, names[:5]))}{', …' if names[5:] else ''}"


def order_classes(names: Sequence[str], wanted: str) -> list[int]:
    """The class order: ``file``, a number to shuffle by, or a JSON file that lists all names.

    Raises OptionError for anything else.
    """
    if wanted == "file":
        return list(range(len(names)))
    if wanted.isdecimal():
        order = list(range(len(names)))
        random.Random(int(wanted)).shuffle(order)
        return order
    try:
        listed = json.loads(Path(wanted).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(
            f"--class-order {wanted}: say file, a number, or a JSON file with a list of all class "
            f"names ({error})"
        ) from error
    found = listed if isinstance(listed, list) else []
    numbers = [find_class(names, str(name)) for name in found]  # a class "7" may be listed as 7
    order = [number for number in numbers if number is not None]
    if len(order) < len(found) or sorted(order) != list(range(len(names))):
        raise OptionError(f"--class-order {wanted}: must list each of the {len(names)} names once")
    return order
