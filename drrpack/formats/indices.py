"""Resolve what a caller asks a dataset for: items by index, classes by name or number."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from drrpack.core.errors import OptionError
from drrpack.core.wording import few
from drrpack.formats.class_names import NameFinder

Indices: TypeAlias = Sequence[int] | Sequence[bool] | NDArray[np.integer | np.bool_] | Tensor


def item_numbers(indices: Indices, count: int) -> NDArray[np.int64]:
    """The numbers, 0 to ``count`` - 1, of the items that indices mean, (n,); as numpy has it.

    ``indices`` are whole numbers, negative ones from the end, or a mask of ``count`` booleans.

    Raises:
        IndexError: one is outside, or the mask has another shape. TypeError: they are neither.
    """
    found = np.asarray(indices)
    if found.dtype == bool:
        if found.shape != (count,):
            raise IndexError(f"a mask of shape {found.shape} does not fit: give one of ({count},)")
        return np.flatnonzero(found)
    if found.dtype.kind not in "iu" and found.size:  # an empty list has the type of floats
        found = _whole_numbers(found, indices)
    outside = found[(found < -count) | (found >= count)]
    if outside.size:
        raise IndexError(f"{outside[0]} is outside")
    numbers = found.astype(np.int64).reshape(-1)
    return np.where(numbers < 0, numbers + count, numbers)


def _whole_numbers(found: NDArray[np.generic], indices: Indices) -> NDArray[np.object_]:
    """Indices of which numpy makes no whole numbers, as Python's own.

    It makes floats of one uint64 among other whole numbers, so each is asked by itself.
    """
    each = found if isinstance(indices, Tensor) else np.asarray(indices, object)
    whole = [whole_number(index) for index in each.reshape(-1)]
    if None in whole:
        raise TypeError(f"indices must be whole numbers or booleans, not {found.dtype}")
    return np.array(whole, object)


def one_number(index: SupportsIndex) -> int:
    """The index of a single item as Python's own number; raises TypeError for anything else."""
    try:
        return operator.index(_no_numpy_bool(index))
    except TypeError as error:
        raise TypeError(
            f"found an index of type {type(index).__name__}, expected one "
            "whole number; for several images call pixels([…]) or codes([…])"
        ) from error


def class_numbers(path: str, names: Sequence[str], wanted: Sequence[str | int] | None) -> list[int]:
    """The numbers of the wanted classes, given by name or by number; of all where it is None.

    Args:
        path: the file, for errors. names: all its classes.

    Raises:
        OptionError: there is no such class, or it is wanted twice.
    """
    if wanted is None:
        return list(range(len(names)))
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):  # letters might be names, too
        raise OptionError(f"{path}: classes={wanted!r}: give a list, [{wanted!r}]")
    numbers, absent = find_each(names, wanted)
    if absent:
        raise OptionError(f"{path} has no class {absent[0]!r}; it has {len(names)}: {few(names)}")
    if len(set(numbers)) < len(numbers):
        raise OptionError(f"{path}: a class is asked for twice: {list(wanted)!r}")
    return numbers


def find_each(
    names: Sequence[str], wanted: Iterable[str | int]
) -> tuple[list[int], list[str | int]]:
    """The numbers of classes that are given by name or by number, and what is not among them."""
    finder, numbers, absent = NameFinder(names), list[int](), list[str | int]()
    for one in wanted:
        number = finder.find(one) if isinstance(one, str) else whole_number(one)
        if number is None or not 0 <= number < len(names):
            absent.append(one)
        else:
            numbers.append(number)
    return numbers, absent


def whole_number(number: object) -> int | None:
    """A whole number as Python's own; None for anything else, booleans included."""
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        return None
    try:
        return operator.index(_no_numpy_bool(number))
    except TypeError:  # an array of several numbers says that it can be one
        return None


def byte_bound(name: str, given: object) -> int:
    """A number of bytes as Python's own.

    Raises:
        OptionError: the argument ``name`` is none.
    """
    found = whole_number(given)
    if found is None or found < 0:
        raise OptionError(
            f"`{name}={given!r}`: expected a number of bytes, such as {2**28} for 256 MiB; give a "
            "whole number of 0 or more, or leave it out",
            option=name,
        )
    return found


def _no_numpy_bool(number: SupportsIndex) -> SupportsIndex:
    """A number as it is; raises TypeError for numpy's booleans, which numpy 1 takes as numbers."""
    if isinstance(number, np.bool_):
        raise TypeError("found a boolean, expected a whole number")
    return number
