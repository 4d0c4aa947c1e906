"""When two names mean the same class: names that readers or file systems confuse."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from drrpack.core.errors import OptionError
from drrpack.core.wording import shortened


class NameFinder:
    """Finds classes by name: the one called so, else the only one that is written in the same
    letters, as keyboards and file systems compose accents in two ways that look alike."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names: list[str] = []
        self._exact: dict[str, int] = {}
        self._letters: defaultdict[str, list[int]] = defaultdict(list)
        for name in names:
            self.add(name)

    def add(self, name: str) -> int:
        """One class more; returns its number."""
        number = len(self.names)
        self.names.append(name)
        self._exact.setdefault(name, number)
        self._letters[_composed(name)].append(number)
        return number

    def find(self, wanted: str) -> int | None:
        """The number of the class, None if there is none or more than one."""
        if wanted in self._exact:
            return self._exact[wanted]
        same = self._letters.get(_composed(wanted), [])
        return same[0] if len(same) == 1 else None


def look(name: str) -> str:
    """The same for names that look alike: by Unicode's forms, by case or by outer space.

    Such names fall together on file systems that ignore case or normalise Unicode, and in a
    reader's eye everywhere.
    """
    return _composed(_composed(name).casefold()).strip()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def unite(files: Iterable[tuple[str, Sequence[str]]]) -> tuple[list[str], list[list[int]]]:
    """One list of the classes of several files, and for each file where its classes are in it.

    A class of a later file is the one of exactly its name, or else the only one of the same `look`,
    unless its own file has two names of that look, which are two classes then.

    Args:
        files: the path of each file, for messages, and the names of its classes.

    Raises:
        OptionError: a name looks like two classes of earlier files and is neither of them.
    """
    united: list[str] = []
    known: dict[str, int] = {}  # where each name is
    alike: defaultdict[str, list[int]] = defaultdict(list)  # where the names of each look are
    numbers = []
    for path, names in files:
        looks = Counter(map(look, names))
        before = {one: list(alike[one]) for one in looks}
        own = []
        for name in names:
            number = known.get(name)
            if number is None and looks[look(name)] == 1:
                number = _only(before[look(name)], united, path, name)
            if number is None:
                number = known[name] = len(united)
                alike[look(name)].append(number)
                united.append(name)
            own.append(number)
        numbers.append(own)
    return united, numbers


def _only(alike: Sequence[int], united: Sequence[str], path: str, name: str) -> int | None:
    if len(alike) > 1:
        twins = " and ".join(repr(united[number]) for number in alike)
        raise OptionError(
            f"{path}: found a class {name!r}, which may be {twins} of another file; expected a "
            "name that looks like one of them only: rename it where it comes from"
        )
    return alike[0] if alike else None


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
