"""The labels of the items of a `DRRDataset`, which a program may replace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from drrpack.core.errors import OptionError
from drrpack.formats.indices import whole_number

_RANGE = range(-(2**63), 2**63)  # of an int64


class Targets:
    """One label for each item.

    A list of half a million takes a while, so it is made when it is first asked for. From then on
    it is what counts, as a program may write into it; so every look checks it anew.

    Args:
        path: the file, for errors. labels: those of the file, int64 (N,).
    """

    def __init__(self, path: str, labels: NDArray[np.int64]) -> None:
        self._path, self._labels = path, labels
        self._list: list[int] | None = None

    @property
    def values(self) -> list[int]:
        """All labels; what is written into this list is followed."""
        if self._list is None:
            self._list = self._labels.tolist()
        return self._list

    def replace(self, given: object) -> None:
        """Take other labels: whole numbers, one for each item. A list is kept, anything else
        (an array, a tensor, a tuple) copied into one.

        Raises:
            OptionError: they are not that.
        """
        found = given.tolist() if hasattr(given, "tolist") else given
        if not isinstance(found, Sequence) or isinstance(found, str | bytes):
            self._refuse(f"targets of type {type(given).__name__}", "a list of labels")
        kept = found if isinstance(found, list) else [*found]
        self._check_length(kept)
        self._numbers(kept, range(len(kept)))
        self._list = kept

    def at(self, items: NDArray[np.int64]) -> list[int]:
        """The labels of some items. Raises OptionError as `replace`."""
        if self._list is None:
            labels: list[int] = self._labels[items].tolist()
            return labels
        self._check_length(self._list)
        return self._numbers(self._list, items.tolist())

    def array(self) -> NDArray[np.int64]:
        """All labels (N,), a copy. Raises OptionError as `replace`."""
        return np.array(self.at(np.arange(len(self._labels))), dtype=np.int64)

    def _check_length(self, labels: Sequence[object]) -> None:
        if len(labels) != len(self._labels):
            wanted = f"{len(self._labels)}, one for each item"
            self._refuse(f"{len(labels)} targets", wanted)

    def _numbers(self, labels: Sequence[object], items: Sequence[int]) -> list[int]:
        out = []
        for item in items:
            number = whole_number(labels[item])
            if number is None or number not in _RANGE:
                self._refuse(f"targets[{item}] = {labels[item]!r}", "a whole number of 64 bits")
            out.append(number)
        return out

    def _refuse(self, found: str, expected: str) -> NoReturn:
        raise OptionError(
            f"{self._path}: found {found}, expected {expected}: assign a list of whole numbers to "
            "targets, as many as there are items"
        )


class ClassNumbers(dict[str, int]):
    """The label of each class by its name, read only: it follows from the list of the classes."""

    def __init__(self, path: str, classes: Sequence[str]) -> None:
        super().__init__((name, label) for label, name in enumerate(classes))
        self._path = path

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise refused_numbers(self._path)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[object, ...]:
        return dict, (dict(self),)


def refused_numbers(path: str) -> OptionError:
    """Why `ClassNumbers` do not change."""
    return OptionError(
        f"{path}: found another class_to_idx, expected that of classes: it follows from that list; "
        "assign classes for other names, and targets for other labels"
    )


def checked_names(path: str, names: object) -> list[str]:
    """Other names for classes; a list is kept, anything else copied into one.

    Raises:
        OptionError: they are no names, or one is there twice.
    """
    listed = [*names] if isinstance(names, Sequence) and not isinstance(names, str) else None
    if listed is None or not all(isinstance(name, str) for name in listed):
        raise OptionError(
            f"{path}: found classes = {repr(names)[:80]}, expected a list of names: give one for "
            "each label"
        )
    if len(set(listed)) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise OptionError(
            f"{path}: found the class {twice!r} twice, expected names that differ: rename one"
        )
    return names if isinstance(names, list) else listed
