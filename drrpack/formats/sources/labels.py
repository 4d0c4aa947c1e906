"""Turn the labels of a data set, numbers or names, into classes that are counted from 0."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from drrpack.core.errors import SourceError
from drrpack.formats.sources.splits import Split, refuse_twins

Label: TypeAlias = int | str
Numbers: TypeAlias = NDArray[np.int64]


def number_labels(
    labels: Mapping[Split, Sequence[Label]],
    names: Sequence[str] | None,
    called: str,
    where: Callable[[Split, int], str],
) -> tuple[tuple[str, ...], dict[Split, Numbers]]:
    """The names of the classes, and the class (N,) int64 of each picture of each split.

    Classes have the order of ``names``, if the data set gives them for labels 0, 1, ...; otherwise
    that of the numbers, or of the names in Unicode's order.

    Args:
        labels: of each split, one a picture; the training split must be there.
        names: what the labels 0, 1, ... are called, if the data set says so.
        called: the source, in messages. where: a picture of a split, in messages.

    Raises:
        SourceError: a label is out of range or has no picture to train on, or a class has a name
            that can't be used.
    """
    if not labels["train"]:
        raise SourceError(f"{called}: found no pictures to train on; expected at least one")
    labels = labels if names is not None else _of_one_type(labels)
    known = list(range(len(names))) if names is not None else _sorted(labels["train"])
    called_so = known if names is None else names
    classes = tuple(unicodedata.normalize("NFC", str(name)) for name in called_so)
    _check_names(classes, called)
    number_of: dict[Label, int] = {label: number for number, label in enumerate(known)}
    numbers = {
        split: _numbers(of_split, number_of, names, split, partial(where, split))
        for split, of_split in labels.items()
    }
    _refuse_empty(classes, numbers["train"], called)
    return classes, numbers


def _sorted(labels: Sequence[Label]) -> list[Label]:
    """The labels that occur, which are all numbers or all names."""
    numbers = sorted(label for label in set(labels) if isinstance(label, int))
    return [*numbers, *sorted(label for label in set(labels) if isinstance(label, str))]


def _of_one_type(labels: Mapping[Split, Sequence[Label]]) -> Mapping[Split, Sequence[Label]]:
    """Numbers, where every label is one or the text of one; else names in NFC."""
    every = {label for of_split in labels.values() for label in of_split}
    if all(isinstance(label, int) or _is_number(label) for label in every):
        return {split: [int(label) for label in of_split] for split, of_split in labels.items()}
    return {
        split: [unicodedata.normalize("NFC", str(label)) for label in of_split]
        for split, of_split in labels.items()
    }


def _is_number(text: str) -> bool:
    """Whether a text is what Python writes for a number from 0."""
    return text.isascii() and text.isdecimal() and (text == "0" or not text.startswith("0"))


def _numbers(
    labels: Sequence[Label], number_of: Mapping[Label, int], names: Sequence[str] | None,
    split: Split, where: Callable[[int], str],
) -> Numbers:  # fmt: skip
    unknown = next((i for i, label in enumerate(labels) if label not in number_of), None)
    if unknown is None:
        return np.array([number_of[label] for label in labels], np.int64)
    label, place = labels[unknown], where(unknown)
    if names is not None:
        raise SourceError(
            f"{place}: found the label {label!r}, and names for {len(names)} classes; expected 0 "
            f"to {len(names) - 1}: leave out pictures without a class, or give the missing names"
        )
    raise SourceError(
        f"{place}: found a class of the {split} split, {label!r}, that the training split lacks; "
        "expected only classes of the training split: leave it out, or add its training pictures"
    )


def _check_names(classes: Sequence[str], called: str) -> None:
    if "" in classes:
        raise SourceError(f"{called}: found a class without a name; expected a name for each class")
    refuse_twins(classes, called)


def _refuse_empty(classes: Sequence[str], numbers: Numbers, called: str) -> None:
    counts = np.bincount(numbers, minlength=len(classes))
    if not counts.all():
        name = classes[int(np.flatnonzero(counts == 0)[0])]
        raise SourceError(
            f"{called}: found no training pictures of the class {name!r}; expected at least one of "
            "each class: leave its name out, or add its pictures"
        )
