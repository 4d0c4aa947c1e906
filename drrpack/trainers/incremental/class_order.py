"""In which order the classes of a file are learned."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from drrpack.core.errors import OptionError
from drrpack.core.wording import few, shortened
from drrpack.formats.class_names import NameFinder
from drrpack.formats.indices import whole_number


def order_classes(
    names: Sequence[str],
    wanted: str | int | Path | Sequence[str | int],
    others: Sequence[str] = (),
) -> list[int]:
    """The class order: ``file``, a number to shuffle by, a JSON file that lists all names, or a
    list of all names or of all labels. Names of ``others`` in a list are passed over.

    A number shuffles as ``numpy.random.seed(number); numpy.random.permutation(len(names))``, which
    is how the literature makes its orders: 1993 gives 68, 56, 78, ... of 100 classes.

    Raises OptionError for anything else.
    """
    if isinstance(wanted, Path):
        wanted = str(wanted)
    if not isinstance(wanted, str):
        return _of_a_program(names, wanted, others)
    if wanted == "file":
        return list(range(len(names)))
    if wanted.isdecimal():
        return _shuffled(len(names), wanted)
    try:
        listed = json.loads(Path(wanted).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(
            f"`class_order={wanted!r}`: say a whole number of 0 or more, a JSON file with a list "
            f"of all class names, or file for the order that there is ({error})"
        ) from error
    if not isinstance(listed, list):
        raise OptionError(
            f"`class_order={wanted!r}`: found a JSON {type(listed).__name__}, expected a list of "
            f"all {len(names)} class names"
        )
    texts = [str(name) for name in listed]  # JSON may hold 7 for a class called "7"
    return _as_listed(names, texts, f"`class_order={wanted!r}`", others)


def _of_a_program(names: Sequence[str], wanted: object, others: Sequence[str]) -> list[int]:
    """The order of a seed, of a list of names or of a list of labels; raises OptionError."""
    if (seed := whole_number(wanted)) is not None:
        return _shuffled(len(names), str(seed))
    listed = list(wanted) if isinstance(wanted, Iterable) else []
    if listed and all(isinstance(one, str) for one in listed):
        return _as_listed(names, listed, "`class_order`", others)
    labels = [label for one in listed if (label := whole_number(one)) is not None]
    if len(labels) == len(listed) and sorted(labels) == list(range(len(names))):
        return labels
    raise OptionError(
        f"`class_order={shortened(wanted)}`: say file, a number, a JSON file with a list of all "
        f"class names, that list, or a list with each label from 0 to {len(names) - 1} once",
        option="class_order",
    )


def _shuffled(count: int, seed: str) -> list[int]:
    try:
        order: list[int] = np.random.RandomState(int(seed)).permutation(count).tolist()
    except ValueError as error:
        raise OptionError(
            f"`class_order={seed}`: expected a number from 0 to {2**32 - 1} as the seed of a "
            "shuffle"
        ) from error
    return order


def _as_listed(
    names: Sequence[str], listed: Sequence[str], called: str, others: Sequence[str]
) -> list[int]:
    """The classes in the order of a list; raises OptionError, which names its faults."""
    elsewhere, finder = NameFinder(others), NameFinder(names)
    listed = [name for name in listed if elsewhere.find(name) is None]
    numbers = {name: finder.find(name) for name in listed}
    order = [number for name in listed if (number := numbers[name]) is not None]
    there = set(order)
    wrong = {
        "lacks": [name for number, name in enumerate(names) if number not in there],
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
