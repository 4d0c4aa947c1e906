"""Which classes of a file to train on, and in which order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drrpack.core.errors import OptionError
from drrpack.formats.class_names import find_class

NAME_PREFIX = "name:"  # before what is a name and neither a count nor a range


def select_classes(names: Sequence[str], wanted: str | Sequence[str] | None) -> list[int]:
    """Numbers of the classes that ``wanted`` selects.

    ``wanted`` is a number of classes (``20``), a range (``50:70``), names with commas between them,
    or a list of names. If the text is the name of a class, it selects that class, whatever else it
    might mean; ``name:20`` is always a name. `how_taken` describes how an ambiguous text was taken.

    Raises OptionError for a class that does not exist, and if no class is selected.
    """
    if wanted is None:
        return list(range(len(names)))
    if not isinstance(wanted, str):
        return _each_named(names, wanted)
    alone, span = named_class(names, wanted), _span(names, wanted)
    if alone is not None:
        return [alone]
    if span is None:
        return _listed(names, wanted)
    if not span:
        raise OptionError(
            f"`classes={wanted!r}`: there are {len(names)} classes, 0:{len(names)}",
            option="classes",
        )
    return list(span)


def _span(names: Sequence[str], wanted: str) -> range | None:
    """The classes of a count or a range.

    Empty if it goes beyond the classes; None if ``wanted`` is neither a count nor a range.
    """
    first, colon, last = wanted.partition(":")
    if wanted == ":" or not all(part == "" or part.isdecimal() for part in (first, last)):
        return None
    start, stop = (int(first or 0), last) if colon else (0, first)
    end = int(stop) if stop else len(names)
    return range(start, end) if 0 <= start < end <= len(names) else range(0)


def _listed(names: Sequence[str], wanted: str) -> list[int]:
    """Classes by their names, which are separated by commas and may contain commas."""
    found, pieces = [], wanted.split(",")
    longest = 1 + max(name.count(",") for name in names)
    while pieces:
        for end in range(min(longest, len(pieces)), 0, -1):
            number = named_class(names, ",".join(pieces[:end]).strip())
            if number is not None:
                found.append(number)
                break
        else:
            if absent := pieces[0].strip().removeprefix(NAME_PREFIX):
                what = f"there is no class {absent!r}"
                raise OptionError(
                    f"`classes={wanted!r}`: {what}; there are {few(names)}", option="classes"
                )
        del pieces[:end]
    if len(set(found)) < len(found) or not found:
        raise OptionError(
            f"`classes={wanted!r}`: name each class once; there are {few(names)}",
            option="classes",
        )
    return found


def _each_named(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Classes by a list of their names."""
    numbers = [find_class(names, name) for name in wanted]
    found = [number for number in numbers if number is not None]
    if len(set(found)) < len(numbers) or not found:
        absent = few([name for name, n in zip(wanted, numbers, strict=True) if n is None])
        what = f"there is no class {absent}" if absent else "name each class once"
        raise OptionError(
            f"`classes={list(wanted)[:5]}`: {what}; there are {few(names)}", option="classes"
        )
    return found


def how_taken(names: Sequence[str], wanted: str | None) -> str | None:
    """How `select_classes` takes an ambiguous text, and how to write the other meaning.

    None if the text has only one meaning.
    """
    if wanted is None:
        return None
    alone, span = named_class(names, wanted), _span(names, wanted)
    if alone is None:
        if span and ":" not in wanted and any(name.isdecimal() for name in names):
            return (
                f"`classes={wanted!r}`: no class has that name, so the first {len(span)} classes "
                f"were taken; for a class by its name say {NAME_PREFIX}{wanted}"
            )
        return None
    taken = f"`classes={wanted!r}`: taken as the name of the class {names[alone]!r}"
    inner = wanted.removeprefix(NAME_PREFIX)
    if inner != wanted and find_class(names, inner) not in (None, alone):
        return f"{taken}; for the class {inner!r} say {inner}"
    if span:
        return (
            f"{taken}; for the classes from {span.start} to {span.stop} say {_other(names, span)}"
        )
    parts = [part.strip() for part in wanted.split(",")]
    if len(parts) > 1 and all(part in names for part in parts):
        listed = ",".join(f"{NAME_PREFIX}{part}" for part in parts)
        return f"{taken}; for the classes of a list say {listed}"
    return None


def _other(names: Sequence[str], span: range) -> str:
    """A spelling of a range that is not also the name of a class."""
    start, stop = span.start, span.stop
    ways = [f"{start}:{stop}", f"{start:02}:{stop}", f"{start:03}:{stop}"]
    return next((way for way in ways if named_class(names, way) is None), ways[0])


def named_class(names: Sequence[str], wanted: str) -> int | None:
    """As `find_class`, for text from a user: the name may follow ``name:``."""
    number = find_class(names, wanted)
    if number is None and wanted.startswith(NAME_PREFIX):
        return find_class(names, wanted.removeprefix(NAME_PREFIX).strip())
    return number


def few(names: Sequence[str]) -> str:
    """The first names, quoted and escaped, because names in a file may hold any character."""
    return f"{', '.join(map(repr, names[:5]))}{', …' if names[5:] else ''}"


def order_classes(names: Sequence[str], wanted: str | int | Sequence[str]) -> list[int]:
    """The class order: ``file``, a number to shuffle by, a JSON file that lists all names, or a
    list of all names.

    A number shuffles as ``numpy.random.seed(number); numpy.random.permutation(len(names))``, which
    is how the literature makes its orders: 1993 gives 68, 56, 78, ... of 100 classes.

    Raises OptionError for anything else.
    """
    if isinstance(wanted, int):
        return _shuffled(len(names), str(wanted))
    if not isinstance(wanted, str):
        return _as_listed(names, wanted, "`class_order`")
    if wanted == "file":
        return list(range(len(names)))
    if wanted.isdecimal():
        return _shuffled(len(names), wanted)
    try:
        listed = json.loads(Path(wanted).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(
            f"`class_order={wanted!r}`: say file, a number, or a JSON file with a list of all "
            f"class names ({error})"
        ) from error
    if not isinstance(listed, list):
        raise OptionError(
            f"`class_order={wanted!r}`: found a JSON {type(listed).__name__}, expected a list of "
            f"all {len(names)} class names"
        )
    texts = [str(name) for name in listed]  # JSON may hold 7 for a class called "7"
    return _as_listed(names, texts, f"`class_order={wanted!r}`")


def _shuffled(count: int, seed: str) -> list[int]:
    try:
        order: list[int] = np.random.RandomState(int(seed)).permutation(count).tolist()
    except ValueError as error:
        raise OptionError(
            f"`class_order={seed}`: expected a number from 0 to {2**32 - 1} as the seed of a "
            "shuffle"
        ) from error
    return order


def _as_listed(names: Sequence[str], listed: Sequence[str], called: str) -> list[int]:
    """The classes in the order of a list; raises OptionError, which names its faults."""
    numbers = {name: find_class(names, name) for name in listed}
    order = [number for name in listed if (number := numbers[name]) is not None]
    wrong = {
        "lacks": [name for number, name in enumerate(names) if number not in set(order)],
        "has unknown": [name for name, number in numbers.items() if number is None],
        "has more than once": [names[n] for n, times in Counter(order).items() if times > 1],
    }
    if any(wrong.values()):
        faults = "; ".join(f"{what} {few(of)}" for what, of in wrong.items() if of)
        raise OptionError(
            f"{called}: found a list that {faults}; expected each of the {len(names)} class "
            "names once: mend the list"
        )
    return order
