"""What a run of the protocol is going to do, worked out before it does anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.methods import Method, PhaseContext, PhaseData, get_method
from drrpack.trainers.incremental.rundir import PHASES, check_run, phase_path, plain
from drrpack.trainers.learning.recipes import Recipe, get_recipe, recipe_changes

TEST_VIEWS = ("raw", "both")


@dataclass(frozen=True)
class PlannedRun:
    """A run that nothing is in the way of, as far as its options tell; nothing is written yet."""

    method: type[Method]
    settings: dict[str, Any]
    contexts: list[PhaseContext]  # of each phase
    paths: list[Path]  # of their checkpoints
    out: Path
    test_view: str

    @property
    def finished(self) -> bool:
        """Whether all phases have been carried out, by this run or one that shares them."""
        return all(path.exists() for path in self.paths)

    @property
    def codec_classes(self) -> dict[str, list[str]]:
        """Which classes of the run the codec had seen before phase 0.

        ``fitted`` are those that it was fitted on, ``after_base`` those of them that come in a
        later phase, of which a codec of the base would know nothing yet. Empty where the file does
        not say, and for methods that look at nothing which the codec made.
        """
        data, used = self.contexts[0].data, self.contexts[-1].seen
        known = set(data.codec_classes)
        if not known or not ("replayed" in self.method.needs or self.test_view == "both"):
            return {}
        names = {label: data.classes[label] for label in used if data.classes[label] in known}
        later = [name for label, name in names.items() if label not in self.contexts[0].seen]
        return {"fitted": list(names.values()), "after_base": later}


def plan_run(
    data: PhaseData,
    method_name: str,
    *,
    base: int,
    phases: int,
    class_order: Sequence[int] | None = None,
    recipe: str = "fast",
    seed: int = 0,
    epochs: int | None = None,
    width: int | None = None,
    device: str = "auto",
    out: Path,
    resume: bool = False,
    checkpoints: Path | None = None,
    budget_bytes: int | None = None,
    exemplars_per_class: int = 20,
    test_view: str = "raw",
    compiled: bool = False,
) -> PlannedRun:
    """What a run is going to do, from its options and the folder that it goes into.

    Phase 0 has the first ``base`` classes of ``class_order`` (None: file order), each of the
    ``phases`` after it an equal part of the rest; each is tested on raw images of all classes
    seen. A finished phase is a checkpoint, and with ``resume`` a run goes on after the last one.
    Runs that get the same ``checkpoints`` folder share phases with the same classes, where the
    method allows it: 5, 10 and 25 phases have some in common.

    ``budget_bytes`` is what the method may keep in all, ``exemplars_per_class`` how many raw images
    of a class one that keeps some takes without a budget. ``test_view="both"`` tests on images that
    went through the codec as well. ``compiled`` runs the network through ``torch.compile``.

    Raises OptionError and OutputError, each with the fix.
    """
    chosen, on = get_recipe(recipe, epochs, width), choose_device(device)
    kind = get_method(method_name)
    groups = split_phases(check_order(class_order, len(data.classes)), base, phases)
    memory: dict[str, Any] = {
        "budget_bytes": budget_bytes,
        "exemplars_per_class": exemplars_per_class,
    }
    if test_view not in TEST_VIEWS:
        raise OptionError(f"a test view is one of {', '.join(TEST_VIEWS)}, not {test_view!r}")
    settings = describe(data, kind, chosen, seed, on, groups) | memory
    settings |= {"test_view": test_view, "compiled": compiled}
    check_run(out, settings, resume)
    share = checkpoints is not None and not kind.depends_on_history
    folder = checkpoints if checkpoints is not None and share else out / PHASES
    seen = list(accumulate(groups))  # the classes of all phases so far, for each phase
    contexts = [
        PhaseContext(
            phase=phase, seen=classes, new=groups[phase], data=data, needs=kind.needs,
            recipe=chosen, seed=phase_seed(seed, classes), device=on, classes=len(seen[-1]),
            compiled=compiled, **memory,
        )
        for phase, classes in enumerate(seen)
    ]  # fmt: skip
    paths = [phase_path(folder, phase_key(settings, kind, classes)) for classes in seen]
    return PlannedRun(kind, settings, contexts, paths, out, test_view)


def check_order(class_order: Sequence[int] | None, classes: int) -> tuple[int, ...]:
    """The class order as a tuple; raises OptionError unless each class is in it once."""
    order = tuple(range(classes)) if class_order is None else tuple(int(c) for c in class_order)
    if sorted(order) != list(range(classes)):
        wrong = sorted(set(order) - set(range(classes)))
        missing = sorted(set(range(classes)) - set(order))
        twice = sorted({index for index in order if order.count(index) > 1})
        raise OptionError(
            f"the class order must have each of 0..{classes - 1} once; unknown: {wrong[:5]}, "
            f"missing: {missing[:5]}, more than once: {twice[:5]}"
        )
    return order


def split_phases(order: Sequence[int], base: int, phases: int) -> list[tuple[int, ...]]:
    """The classes that each phase adds, phase 0 being the base; raises OptionError.

    With ``phases=0`` there is the base alone, and classes beyond it are not used.
    """
    if not 1 <= base <= len(order):
        raise OptionError(f"the base must have 1 to {len(order)} classes, not {base}")
    rest = len(order) - base
    if phases < 0 or (phases > 0 and (rest == 0 or rest % phases)):
        works = [count for count in range(1, rest + 1) if rest % count == 0] or [0]
        raise OptionError(
            f"{len(order)} classes less a base of {base} leave {rest}, which can't be cut into "
            f"{phases} equal phases; what works: phases={', '.join(map(str, works))}"
        )
    step = rest // phases if phases else 0
    starts = range(base, base + step * phases, step) if step else range(0)
    return [tuple(order[:base]), *(tuple(order[start : start + step]) for start in starts)]


def describe(
    data: PhaseData,
    method: type[Method],
    recipe: Recipe,
    seed: int,
    device: torch.device,
    groups: Sequence[Sequence[int]],
) -> dict[str, Any]:
    """All that decides a run, as plain values: for settings.json, and for the phases' keys."""
    settings = {
        "method": method.name,
        "data": data.fingerprint,
        "classes": list(data.classes),
        "class_order": [index for group in groups for index in group],
        "base": len(groups[0]),
        "phases": len(groups) - 1,
        "groups": [len(group) for group in groups],
        "seed": seed,
        "device": device.type,
        "recipe": asdict(recipe),
        "recipe_changes": recipe_changes(recipe),
    }
    return plain(settings)


def phase_key(
    settings: Mapping[str, Any], method: type[Method], seen: Sequence[int]
) -> dict[str, Any]:
    """What decides one phase: not how the classes were cut, unless the method has a history."""
    names = (
        *("method", "data", "seed", "device", "recipe"),
        *("budget_bytes", "exemplars_per_class", "test_view", "compiled"),
    )
    key = {name: settings[name] for name in names}
    key["seen"], key["of"] = list(seen), sum(settings["groups"])
    if method.depends_on_history:
        key["groups"] = settings["groups"]
    return key


def phase_seed(seed: int, seen: Sequence[int]) -> int:
    """The seed of a phase: of the run's seed and the set of classes, equal for all methods.

    So two methods differ in what they learn from, not in luck.
    """
    text = json.dumps([seed, sorted(seen)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")
