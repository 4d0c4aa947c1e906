"""Which classes a user means: names, a count or a range."""

from __future__ import annotations

from collections.abc import Sequence

from drrpack.core.errors import OptionError
from drrpack.core.wording import few
from drrpack.formats.class_names import NameFinder

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
    finder = NameFinder(names)
    alone, span = named_class(finder, wanted), _span(names, wanted)
    if alone is not None:
        return [alone]
    if span is None:
        return _listed(finder, wanted)
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
    if wanted in ("", ":") or not all(part == "" or part.isdecimal() for part in (first, last)):
        return None
    start, stop = (int(first or 0), last) if colon else (0, first)
    end = int(stop) if stop else len(names)
    return range(start, end) if 0 <= start < end <= len(names) else range(0)


def _listed(finder: NameFinder, wanted: str) -> list[int]:
    """Classes by their names, which are separated by commas and may contain commas."""
    found, pieces, names = [], wanted.split(","), finder.names
    longest = 1 + max(name.count(",") for name in names)
    while pieces:
        for end in range(min(longest, len(pieces)), 0, -1):
            number = named_class(finder, ",".join(pieces[:end]).strip())
            if number is not None:
                found.append(number)
                break
        else:
            if absent := pieces[0].strip().removeprefix(NAME_PREFIX):
                what = f"there is no class {absent!r}"
                if _span(names, absent) is not None:
                    what += ", and a range stands alone, without names beside it"
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
    finder = NameFinder(names)
    numbers = [finder.find(name) for name in wanted]
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
    finder = NameFinder(names)
    alone, span = named_class(finder, wanted), _span(names, wanted)
    if alone is None:
        if span and ":" not in wanted and any(name.isdecimal() for name in names):
            return (
                f"`classes={wanted!r}`: no class has that name, so the first {len(span)} classes "
                f"were taken; for a class by its name say {NAME_PREFIX}{wanted}"
            )
        return None
    taken = f"`classes={wanted!r}`: taken as the name of the class {names[alone]!r}"
    inner = wanted.removeprefix(NAME_PREFIX)
    if inner != wanted and finder.find(inner) not in (None, alone):
        return f"{taken}; for the class {inner!r} say {inner}"
    if span:
        return (
            f"{taken}; for the classes from {span.start} to {span.stop} say {_other(finder, span)}"
        )
    parts = [part.strip() for part in wanted.split(",")]
    if len(parts) > 1 and {*parts} <= {*names}:
        listed = ",".join(f"{NAME_PREFIX}{part}" for part in parts)
        return f"{taken}; for the classes of a list say {listed}"
    return None


def _other(finder: NameFinder, span: range) -> str:
    """A spelling of a range that is not also the name of a class."""
    start, stop = span.start, span.stop
    ways = [f"{start}:{stop}", f"{start:02}:{stop}", f"{start:03}:{stop}"]
    return next((way for way in ways if named_class(finder, way) is None), ways[0])


def named_class(finder: NameFinder, wanted: str) -> int | None:
    """As `NameFinder.find`, for text from a user: the name may follow ``name:``."""
    number = finder.find(wanted)
    if number is None and wanted.startswith(NAME_PREFIX):
        return finder.find(wanted.removeprefix(NAME_PREFIX).strip())
    return number
