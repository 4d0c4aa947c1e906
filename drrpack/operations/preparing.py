"""Steps that several operations take before their work: tidy up, choose classes, ask for trust."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import TypeAlias, TypeVar

from drrpack.core.errors import OptionError
from drrpack.core.progress import Notice
from drrpack.core.wording import counted, few
from drrpack.formats.class_names import names_of_labels
from drrpack.formats.container import Reader
from drrpack.formats.files.beside import left_beside
from drrpack.formats.files.exchange import finish_exchanges
from drrpack.formats.files.publish import remove_leftovers
from drrpack.formats.indices import find_each, whole_number
from drrpack.formats.recorded_places import untrusted_paths
from drrpack.formats.selection import how_taken, select_classes
from drrpack.formats.sources.dataset import Named
from drrpack.formats.sources.opening import LabelledDataset, path_of
from drrpack.formats.sources.source import Given, Source
from drrpack.formats.sources.source import download as fetch
from drrpack.operations.progress import Report
from drrpack.trainers.fitting.loop import Budget

Pathlike: TypeAlias = str | os.PathLike[str]
Classes: TypeAlias = str | Sequence[str | int] | None
Whole = TypeVar("Whole", int, int | None)
Trust: TypeAlias = bool | Callable[[Sequence[str]], bool]

LAST_SEED = 2**64 - 1  # that PyTorch takes


def tidy(output: Path, report: Report) -> None:
    """Finish or remove what killed runs left in the folder of ``output``, and report it."""
    for words in finish_exchanges(output.parent):
        report(Notice(words))
    for path in remove_leftovers(output.parent):
        report(Notice(f"removed {path}, left behind by a run that was killed"))


def tell_of_left(output: Path, report: Report, *, taken_over: bool = False) -> None:
    """Report what an interrupted command on ``output`` has left to go on from.

    It stays, unless the command that has found it takes over what it can. Call this while you hold
    the lock of ``output``: without it, the folders may be those of a running command.
    """
    follows = (
        "what suits this one is taken over, and the folder is removed once the file is written"
        if taken_over
        else "the same command takes over what still suits the file; delete it if you will not "
        "give that again"
    )
    for folder in left_beside(output):
        if folder.exists():
            told = f"{folder} is of an interrupted command on {output}: {follows}"
            report(Notice(told, warning=False))


def tell_of(source: Source, report: Report) -> None:
    """Report what was left out of a source, and what may be a mistake in it."""
    for bad in source.bad:
        report(Notice(f"left out {bad.path}: {bad.reason}"))
    for remark in source.remarks:
        report(Notice(remark))


def tell_of_labels(source: Source, report: Report) -> None:
    """Report where the labels of a new memory are not those of the dataset it is made from."""
    labels = source.labels or ()
    changed = [(label, number) for number, label in enumerate(labels) if label != number]
    if changed:
        label, number = changed[0]
        report(
            Notice(
                f"{source.place}: no image has the label {number}, so the memory numbers labels "
                f"anew: the label {label} becomes {number}, {counted(len(labels), 'class')} in all"
            )
        )


def tell_of_few_raw(source: Source, report: Report, per_class: int) -> None:
    """Report classes that have fewer images than are to be kept raw of each: they keep all."""
    counts = source.images_per_class
    short = [number for number, count in enumerate(counts) if count < per_class]
    if short:
        least = min(short, key=counts.__getitem__)
        report(
            Notice(
                f"`raw_per_class={per_class}`: {len(short)} of {counted(len(counts), 'class')} "
                f"have fewer images, and all of theirs are kept raw; {source.classes[least]!r} "
                f"has the fewest, {counts[least]}"
            )
        )


def chosen_classes(names: Sequence[str], wanted: Classes, report: Report) -> list[int]:
    """Numbers of the selected classes; of all classes for None.

    Text has the form of the command line: names with commas between them, ``"20"`` for the first
    20, ``"50:70"`` for a range. If a text has two meanings, a notice says which one was taken. A
    list has names and numbers.

    Raises:
        OptionError: a class does not exist or is named twice, or no class is selected.
    """
    if wanted is None or isinstance(wanted, str):
        taken = how_taken(names, wanted)
        chosen = select_classes(names, wanted)
        if taken is not None:
            report(Notice(taken))
        return chosen
    if not isinstance(wanted, Iterable):
        raise OptionError(
            f"`classes={wanted!r}`: expected a list of names and numbers, or a text such as '5' "
            "for the first five",
            option="classes",
        )
    numbers, absent = find_each(names, wanted)
    if absent:
        raise OptionError(
            f"`classes`: there is no class {absent[0]!r}; there are {len(names)}: {few(names)}",
            option="classes",
        )
    if not numbers or len(set(numbers)) < len(numbers):
        raise OptionError(
            f"`classes={list(wanted)!r}`: name each class once; there are {few(names)}",
            option="classes",
        )
    return numbers


def trusted(reader: Reader, source: Given | None, trust: Trust) -> bool:
    """Whether the paths that an older file names may be opened.

    If there are such paths and ``trust`` is a function, it is called with them and decides.
    """
    paths = untrusted_paths(reader, source)
    return bool(paths) and (trust(paths) if callable(trust) else trust)


def names_of(class_names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names for the labels of a dataset; raises OptionError unless they are a list of texts."""
    return None if class_names is None else names_of_labels(class_names, "`class_names`")


def pictures(
    given: Given | None, class_names: Sequence[str] | None = None
) -> Path | LabelledDataset | None:
    """A folder as a path; a dataset as it is, or with the names given for its labels."""
    path = None if given is None else path_of(given)
    if given is None or path is not None or isinstance(given, str | os.PathLike):
        return path
    names = names_of(class_names)
    return given if names is None else Named(given, names)


def as_whole(name: str, value: Whole, least: int | None = None) -> Whole:
    """A whole number as Python's own, which JSON can hold; None stands for a default, and passes.

    Raises:
        OptionError: the argument ``name`` is no whole number, or less than ``least``.
    """
    if value is None:
        return value
    found = whole_number(value)
    if found is None:
        raise OptionError(f"`{name}={value!r}`: say a whole number", option=name)
    if least is not None and found < least:
        raise OptionError(f"`{name}={found}`: say {least} or more", option=name)
    return found


def as_seed(seed: int) -> int:
    """A random seed as Python's own number; raises OptionError unless all generators take it."""
    found = as_whole("seed", seed, 0)
    if found > LAST_SEED:
        raise OptionError(f"`seed={found}`: say {LAST_SEED} or less", option="seed")
    return found


def whole(**given: int | None) -> None:
    """Raise OptionError for the first argument that is no whole number; None passes."""
    for name, value in given.items():
        as_whole(name, value)


def at_least(least: int, **given: int | None) -> None:
    """Raise OptionError for the first argument that is no whole number of ``least`` or more.

    None stands for a default, and passes.
    """
    for name, value in given.items():
        as_whole(name, value, least)


def positive(**given: float | None) -> None:
    """Raise OptionError for the first argument that is no number above zero; None passes."""
    for name, value in given.items():
        if value is None:
            continue
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not 0 < value < math.inf:
            raise OptionError(f"`{name}={value!r}`: say a number above zero", option=name)


def budget(epochs: int | None, minutes: float | None, default_minutes: float) -> Budget:
    """How long to fit, from ``epochs`` or ``minutes``; raises OptionError if both are given."""
    if epochs is not None and minutes is not None:
        raise OptionError(
            "`epochs` and `minutes` exclude each other: give one of them", option="minutes"
        )
    epochs = as_whole("epochs", epochs, 1)
    positive(minutes=minutes)
    if epochs is not None:
        return Budget(epochs=epochs)
    return Budget(minutes=default_minutes if minutes is None else float(minutes))


def tuning_budget(epochs: int | None, minutes: float | None, keep: bool) -> Budget | None:
    """How long an entropy model is to be tuned; None: as long as suits the number of images.

    Raises:
        OptionError: it is no budget, or the entropy model is to be kept.
    """
    if keep and (epochs is not None or minutes is not None):
        raise OptionError(
            "`epochs` and `minutes` have no meaning with `keep_entropy_model`",
            option="keep_entropy_model",
        )
    return None if epochs is None and minutes is None else budget(epochs, minutes, math.inf)


def downloaded(name: str, source: Given) -> Path:
    """CIFAR, fetched into the folder ``source``; raises OptionError."""
    path = path_of(source)
    if path is None:
        raise OptionError(
            f"`download={name!r}`: found a dataset, expected the folder to fetch into",
            option="download",
        )
    return fetch(name, path)
