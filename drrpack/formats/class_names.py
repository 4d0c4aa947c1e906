"""When two names mean the same class: names that readers or file systems confuse."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from drrpack.core.errors import OptionError
from drrpack.core.wording import shortened


def find_class(names: Sequence[str], wanted: str) -> int | None:
    """The number of the class called ``wanted``, else of the only one that is written in the same
    letters: keyboards and file systems compose accents in two ways that look alike."""
    if wanted in names:
        return names.index(wanted)
    same = [n for n, name in enumerate(names) if _composed(name) == _composed(wanted)]
    return same[0] if len(same) == 1 else None


def look(name: str) -> str:
    """The same for names that look alike: by Unicode's forms, by case or by outer space.

    Such names fall together on file systems that ignore case or normalise Unicode, and in a
    reader's eye everywhere.
    """
    return _composed(_composed(name).casefold()).strip()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def names_of_labels(names: object, called: str) -> tuple[str, ...]:
    """Names for the labels 0, 1, ... of what is ``called`` so; raises OptionError for no list."""
    if isinstance(names, Sequence) and not isinstance(names, str):
        listed = tuple(names)
        if all(isinstance(name, str) for name in listed):
            return listed
    raise OptionError(
        f"{called}: found {shortened(names)} as names of classes; expected a list with a name for "
        "each label",
        option="class_names",
    )
