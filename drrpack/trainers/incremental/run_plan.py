"""The plan of a run of the protocol, made before the run starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from drrpack.core.errors import OptionError
from drrpack.formats.files.own import PHASES
from drrpack.formats.layout import Json
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.phase_data import PhaseData
from drrpack.trainers.incremental.results import CodecClasses
from drrpack.trainers.incremental.rundir import check_run, phase_path
from drrpack.trainers.incremental.settings import RunSettings


@dataclass(frozen=True)
class PlannedRun:
    """A run whose options have been checked; nothing is written yet."""

    settings: RunSettings
    described: Json  # what settings.json holds
    contexts: list[PhaseContext]  # of each phase
    paths: list[Path]  # of their checkpoints
    out: Path

    @property
    def finished(self) -> bool:
        """Whether all phases have been carried out, by this run or one that shares them."""
        return all(path.exists() for path in self.paths)

    @property
    def through_codec(self) -> bool:
        """Whether the test images are also seen as the codec keeps them."""
        return self.settings.test_view == "both"

    @property
    def codec_classes(self) -> CodecClasses | None:
        """Which classes of the run the codec had seen before phase 0.

        None where the file does not say, and for methods that look at nothing which the codec made.
        """
        data, used = self.contexts[0].data, self.contexts[-1].seen
        known = set(data.codec_classes)
        if not known or not ("replayed" in self.settings.method.needs or self.through_codec):
            return None
        names = {label: data.classes[label] for label in used if data.classes[label] in known}
        base = set(self.contexts[0].seen)
        later = [name for label, name in names.items() if label not in base]
        return CodecClasses(list(names.values()), later)


def plan_run(
    data: PhaseData,
    settings: RunSettings,
    out: Path,
    *,
    resume: bool = False,
    checkpoints: Path | None = None,
) -> PlannedRun:
    """Plan a run from its settings and its folder.

    Each finished phase has a checkpoint, and with ``resume`` a run continues after the last one.
    Runs with the same ``checkpoints`` folder share phases with the same classes, if the method
    allows it: 5, 10 and 25 phases have some in common.

    Raises OptionError and OutputError, each with the fix.
    """
    order = check_order(settings.class_order, len(data.classes))
    groups = split_phases(order, settings.base, settings.phases)
    described = settings.to_json(data, groups)
    check_run(out, described, resume)
    share = checkpoints is not None and not settings.method.depends_on_history
    folder = checkpoints if checkpoints is not None and share else out / PHASES
    seen = list(accumulate(groups))  # the classes of all phases so far, for each phase
    contexts = [
        PhaseContext(
            phase=phase, seen=classes, new=groups[phase], data=data.after(classes),
            needs=settings.method.needs,
            recipe=settings.recipe, network=settings.network,
            seed=phase_seed(settings.seed, classes), device=settings.device,
            classes=len(seen[-1]), last_phase=len(seen) - 1, compiled=settings.compiled,
            budget_bytes=settings.budget_bytes, exemplars_per_class=settings.exemplars_per_class,
        )
        for phase, classes in enumerate(seen)
    ]  # fmt: skip
    paths = [phase_path(folder, settings.phase_key(data, groups, classes)) for classes in seen]
    return PlannedRun(settings, described, contexts, paths, out)


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
            f"{phases} equal phases; what works as `phases`: {', '.join(map(str, works))}",
            option="phases",
        )
    step = rest // phases if phases else 0
    starts = range(base, base + step * phases, step) if step else range(0)
    return [tuple(order[:base]), *(tuple(order[start : start + step]) for start in starts)]


def phase_seed(seed: int, seen: Sequence[int]) -> int:
    """The seed of a phase: of the run's seed and the set of classes, equal for all methods.

    So two methods differ in their training data and not by chance.
    """
    text = json.dumps([seed, sorted(seen)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")
