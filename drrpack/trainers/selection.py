"""Which classes of a file to train on, and in which order."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from drrpack.errors import OptionError


def select_classes(names: Sequence[str], wanted: str | None) -> list[int]:
    """Numbers of the classes that ``wanted`` asks for: ``20``, ``50:70`` or names with commas.

    Raises OptionError for a class that is not there, and for a choice of none.
    """
    if wanted is None:
        return list(range(len(names)))
    if wanted in names:
        return [names.index(wanted)]
    first, colon, last = wanted.partition(":")
    if all(part == "" or part.isdecimal() for part in (first, last)) and wanted != ":":
        start, stop = (int(first or 0), last) if colon else (0, first)
        end = int(stop) if stop else len(names)
        if not 0 <= start < end <= len(names):
            raise OptionError(f"--classes {wanted}: there are {len(names)} classes, 0:{len(names)}")
        return list(range(start, end))
    parts = [part.strip() for part in wanted.split(",") if part.strip()]
    unknown = [part for part in parts if part not in names]
    if unknown or len(set(parts)) < len(parts) or not parts:
        what = f"there is no class {unknown[0]!r}" if unknown else "name each class once"
        raise OptionError(f"--classes {wanted}: {what}; there are {', '.join(names[:5])}, …")
    return [names.index(part) for part in parts]


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
    if not isinstance(listed, list) or sorted(map(str, listed)) != sorted(names):
        raise OptionError(f"--class-order {wanted}: must list each of the {len(names)} names once")
    return [list(names).index(str(name)) for name in listed]  # a class "7" may be listed as 7
