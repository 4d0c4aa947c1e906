"""In which order the classes of a file are learned."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drrpack.core.errors import OptionError
from drrpack.core.wording import few
from drrpack.formats.class_names import find_class


def order_classes(names: Sequence[str], wanted: str | int | Sequence[str]) -> list[int]:
    """The class order: ``file``, a number to shuffle by, a JSON file that lists all names, or a
    list of all names.

    A number shuffles as ``numpy.random.seed(number); numpy.random.permutation(len(names))``, which
    is how the literature makes its orders: 1993 gives 68, 56, 78, ... of 100 classes.

    Raises OptionError for anything else.
    """
    if isinstance(wanted, int):
        return _shuffled(len(names), str(wanted))
    if not isinstance(wanted, str | Sequence) or not all(isinstance(one, str) for one in wanted):
        raise OptionError(
            f"`class_order={wanted!r}`: say file, a number, a JSON file with a list of all class "
            "names, or that list",
            option="class_order",
        )
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
