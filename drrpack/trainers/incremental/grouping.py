"""Which runs repeat one another, and what others differ in: only the former have a mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from drrpack.core.errors import OptionError

Result = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Runs of one method that differ in their seeds alone."""

    method: str
    phases: int  # after the base
    settings: Mapping[str, str]  # all else that decides them, as a table shows it
    runs: list[Result]

    def cells(self, columns: Sequence[str]) -> list[str]:
        """The settings of some columns."""
        return [self.settings[column] for column in columns]

    def name(self, columns: Sequence[str]) -> str:
        """The method, and what tells it from others of its name: ``er, budget 2 MB``."""
        settings = (f"{heading(column)} {self.settings[column]}" for column in columns)
        return ", ".join((self.method, *settings))


def heading(column: str) -> str:
    """A setting's name, as a table has it at its head."""
    return column.replace("_", " ")


def grouped(results: Iterable[Result]) -> list[Group]:
    """Runs by all that decides them but the seed, each seed once, in the order in which they come.

    Raises OptionError where they may not stand side by side.
    """
    runs, _ = without_doubles(results)
    by_key: dict[str, list[Result]] = {}
    for run in runs:
        for name in ("recipe", "epochs", "width"):
            if run[name] != runs[0][name]:
                raise OptionError(
                    f"results of {name} {runs[0][name]} and {run[name]} can't share a table or "
                    "plot: the difference between them would not be that of the methods"
                )
        by_key.setdefault(_key(run), []).append(run)
    return [
        Group(same[0]["method"], len(same[0]["phases"]) - 1, shown_settings(same[0]), same)
        for same in by_key.values()
    ]


def without_doubles(results: Iterable[Result]) -> tuple[list[Result], list[Result]]:
    """Results of which none repeats another to the seed, and those that were left out for it.

    Of doubles the first stays, or the first that was also tested through the codec: that changes
    nothing else.
    """
    kept: dict[tuple[str, Any], Result] = {}
    doubles = []
    for run in results:
        key = _key(run), run.get("seed")
        if key not in kept:
            kept[key] = run
        elif "through_codec" in run and "through_codec" not in kept[key]:
            doubles.append(kept[key])
            kept[key] = run
        else:
            doubles.append(run)
    return list(kept.values()), doubles


def differing(groups: Sequence[Group]) -> list[str]:
    """The settings that are not the same in all groups: those that a table must show."""
    first = groups[0].settings if groups else {}
    return [name for name in first if any(one.settings[name] != first[name] for one in groups[1:])]


def shown_settings(run: Result) -> dict[str, str]:
    """What decides a run beside method, phases and seed, as a table shows it."""
    return {name: show(run) for name, show in SETTINGS.items()}


def _key(run: Result) -> str:
    exact = run["config"].get("data"), run.get("class_order")  # shown in short
    return json.dumps([run["method"], len(run["phases"]), shown_settings(run), *exact])


def _config(name: str, otherwise: Any = None) -> Callable[[Result], Any]:
    return lambda run: run["config"].get(name, otherwise)


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def _order(run: Result) -> str:
    """``file``, or the first classes and a digest of all."""
    order, names = run.get("class_order", []), run["config"].get("classes", [])
    if order == sorted(order):
        return "file"
    named = [str(names[number]) if number < len(names) else str(number) for number in order]
    return f"{', '.join(named[:2])}, … ({_digest(named)[:4]})"


def _budget(run: Result) -> str:
    size = run["config"].get("budget_bytes")
    return "none" if size is None else f"{size / 1e6} MB"


def _recipe(run: Result) -> str:
    """What tells a recipe from one of its name, which another version of drrpack may have."""
    return _digest(run["config"].get("recipe"))


# What the accuracy of a run on raw test images follows from. The view through the codec and the
# number of threads are not among it: they leave the training as it is, but for rounding.
SETTINGS: dict[str, Callable[[Result], str]] = {
    "data": lambda run: str(_config("data", "-")(run))[:8],
    "classes": lambda run: str(run["phases"][-1]["classes_seen"]),
    "class_order": _order,
    "base": lambda run: str(_config("base", "-")(run)),
    "budget": _budget,
    "exemplars": lambda run: str(_config("exemplars_per_class", "-")(run)),
    "device": lambda run: str(_config("device", "-")(run)),
    "compiled": lambda run: "yes" if _config("compiled", False)(run) else "no",
    "recipe_settings": _recipe,
    "drrpack": lambda run: str(run.get("versions", {}).get("drrpack", "-")),
}
