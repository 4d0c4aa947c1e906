"""Group runs that differ only in their seeds; a mean covers the runs of one group."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from drrpack.core.errors import OptionError
from drrpack.core.wording import counted
from drrpack.trainers.incremental.results import Result


@dataclass(frozen=True)
class Group:
    """Runs of one method that differ only in their seeds."""

    method: str
    phases: int  # after the base
    settings: Mapping[str, str]  # all else that decides them
    shown: Mapping[str, str]  # the same in short; nothing for what is usual
    runs: list[Result]

    def cells(self, columns: Sequence[str]) -> list[str]:
        """The settings of some columns."""
        return [self.shown[column] for column in columns]

    def name(self, columns: Sequence[str]) -> str:
        """The method, and what tells it from others of its name: ``er, budget 2 MB``."""
        cells = zip(columns, self.cells(columns), strict=True)
        settings = (f"{heading(column)} {cell}" for column, cell in cells if cell)
        return ", ".join((self.method, *settings))


def distinct_names(groups: Sequence[Group], columns: Sequence[str]) -> list[str]:
    """What tells each group from the others: its name, and its phases where they differ."""
    if len({group.phases for group in groups}) == 1:
        return [group.name(columns) for group in groups]
    return [f"{group.name(columns)}, {counted(group.phases, 'phase')}" for group in groups]


def heading(column: str) -> str:
    """A setting's name, as a table has it at its head."""
    return column.replace("_", " ")


def grouped(results: Iterable[Result]) -> list[Group]:
    """Runs grouped by all settings except the seed, in their order; each seed counts once.

    Raises OptionError if the runs can't be compared.
    """
    runs, _ = without_doubles(results)
    by_key: dict[str, list[Result]] = {}
    for run in runs:
        for name in ("recipe", "epochs", "width"):
            first, other = getattr(runs[0], name), getattr(run, name)
            if first != other:
                raise OptionError(
                    f"results of {name} {first} and {other} can't share a table or plot: a "
                    "difference between them would not come from the methods alone"
                )
        by_key.setdefault(_key(run), []).append(run)
    firsts = [same[0] for same in by_key.values()]
    return [
        Group(first.method, first.phase_count, shown_settings(first), shown, same)
        for first, shown, same in zip(firsts, _in_short(firsts), by_key.values(), strict=True)
    ]


def without_doubles(results: Iterable[Result]) -> tuple[list[Result], list[Result]]:
    """Results without repetitions of the same settings and seed, and the repetitions.

    Of equal results the first stays, or the first that was also tested through the codec, which
    changes no other figure.
    """
    kept: dict[tuple[str, int | None], Result] = {}
    doubles = []
    for run in results:
        key = _key(run), run.seed
        if key not in kept:
            kept[key] = run
        elif run.through_codec is not None and kept[key].through_codec is None:
            doubles.append(kept[key])
            kept[key] = run
        else:
            doubles.append(run)
    return list(kept.values()), doubles


def differing(groups: Sequence[Group]) -> list[str]:
    """The settings that are not the same in all groups."""
    first = groups[0].settings if groups else {}
    return [name for name in first if any(one.settings[name] != first[name] for one in groups[1:])]


def telling(groups: Sequence[Group]) -> list[str]:
    """The settings that names and tables show: those that differ, but for `DETAILS` in which no two
    groups of one method differ."""
    by_method: dict[str, list[Group]] = {}
    for group in groups:
        by_method.setdefault(group.method, []).append(group)
    within = {name for own in by_method.values() for name in differing(own)}
    return [name for name in differing(groups) if name in within or name not in DETAILS]


def shown_settings(run: Result) -> dict[str, str]:
    """What decides a run beside method, phases and seed, as a table shows it."""
    return {name: show(run) for name, show in SETTINGS.items()}


def _key(run: Result) -> str:
    exact = run.config.data, run.class_order  # shown in short
    return json.dumps([run.method, len(run.phases), shown_settings(run), *exact])


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def _order(run: Result) -> str:
    """``as numbered``, or the first classes and a digest of all."""
    order = run.class_order
    if order == sorted(order):
        return "as numbered"
    named = [class_name(run, number) for number in order]
    return f"{', '.join(named[:2])}, … ({_digest(named)[:4]})"


def class_name(run: Result, number: int) -> str:
    """The name of a class, or its number where the result does not hold the names."""
    names = run.config.classes
    return names[number] if number < len(names) else str(number)


def _budget(run: Result) -> str:
    size = run.config.budget_bytes
    return "none" if size is None else f"{size / 1e6:g} MB"


def _options(run: Result) -> str:
    return ", ".join(_each_option(run).values()) or "default"


def _each_option(run: Result) -> dict[str, str]:
    """Values of the method's options, its revision, and where a method of a user comes from."""
    values = {name: f"{name}={value}" for name, value in run.config.options.items()}
    if run.config.revision:
        values["revision"] = f"revision {run.config.revision}"
    if run.config.method_from is not None:
        values["from"] = f"from {run.config.method_from}"
    return values


def _in_short(runs: Sequence[Result]) -> list[dict[str, str]]:
    """Settings as tables show them: of options those that tell runs of one method apart, of recipes
    what is not the same in all."""
    options = _apart([_each_option(run) for run in runs], [run.method for run in runs])
    fields = [{k: f"{k}={v}" for k, v in run.config.recipe.items()} for run in runs]
    recipes = _apart(fields, ["" for _ in runs])
    usual = {"none", "no", "-"}
    return [
        {name: "" if value in usual else value for name, value in shown_settings(run).items()}
        | {"options": own, "recipe_settings": recipe}
        for run, own, recipe in zip(runs, options, recipes, strict=True)
    ]


def _apart(found: Sequence[Mapping[str, str]], within: Sequence[str]) -> list[str]:
    """Of each mapping the texts that not all of its group, named in ``within``, have."""
    texts: dict[tuple[str, str], set[str | None]] = {}
    for name in dict.fromkeys(name for one in found for name in one):
        for one, group in zip(found, within, strict=True):
            texts.setdefault((group, name), set()).add(one.get(name))
    return [
        ", ".join(text for name, text in one.items() if len(texts[group, name]) > 1)
        for one, group in zip(found, within, strict=True)
    ]


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


# All settings that affect the accuracy of a run on raw test images. The test through the codec and
# the number of threads are not among them: they do not change the training, except for rounding.
SETTINGS: dict[str, Callable[[Result], str]] = {
    "options": _options,
    "network": lambda run: run.config.network or "resnet18",
    "data": lambda run: run.config.data[:8],
    "classes": lambda run: str(run.phases[-1].classes_seen),
    "class_order": _order,
    "base": lambda run: _or_dash(run.config.base),
    "budget": _budget,
    "exemplars": lambda run: _or_dash(run.config.exemplars_per_class),
    "device": lambda run: run.config.device,
    "test_augmentation": lambda run: run.config.test_augmentation or "none",
    "compiled": lambda run: "yes" if run.config.compiled else "no",
    # what tells a recipe from one of its name, which another version of drrpack may have
    "recipe_settings": lambda run: _digest(run.config.recipe),
    "drrpack": lambda run: run.versions.get("drrpack", "-"),
}

# Settings that methods have of their own, or that say where a run was made
DETAILS = "options", "data", "compiled", "recipe_settings", "drrpack"
