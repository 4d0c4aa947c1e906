"""The class-incremental protocol: a base of classes, then the rest in equal phases (section 6)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from drrpack.errors import OptionError
from drrpack.trainers.classifier import TrainProgress, TrainReport
from drrpack.trainers.methods import Method, PhaseContext, PhaseData, get_method
from drrpack.trainers.recipes import Recipe, get_recipe, recipe_changes
from drrpack.trainers.results import Result, make_result
from drrpack.trainers.rundir import (
    PHASES,
    RESULT,
    drop_weights,
    load_phase,
    open_run,
    phase_path,
    plain,
    save_phase,
    write_json,
)


@dataclass(frozen=True)
class RunProgress:
    """One report of a run: where it is, how far (0 to 1 of all phases), and the time left.

    ``accuracy`` (percent) is None until the phase has been tested. ``loss`` is that of the
    training, None in the report that brings the accuracy. ``seconds_left`` is None while nothing
    has been trained yet from which to estimate it.
    """

    phase: int
    phases: int  # without the base, so the last phase has this number
    classes_seen: int
    epoch: int
    epochs: int
    fraction: float
    loss: float | None
    seconds_left: float | None
    accuracy: float | None = None


Report = Callable[[RunProgress], None]


def run(
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
    report: Report | None = None,
    checkpoints: Path | None = None,
) -> Result:
    """Train and test ``method_name`` phase by phase; returns what ``out/result.json`` holds.

    Phase 0 has the first ``base`` classes of ``class_order`` (None: file order), each of the
    ``phases`` after it an equal part of the rest; each is tested on raw images of all classes
    seen. A finished phase is a checkpoint, and with ``resume`` a run goes on after the last one.
    Runs that get the same ``checkpoints`` folder share phases with the same classes, where the
    method allows it: 5, 10 and 25 phases have some in common.

    Raises OptionError, OutputError, SourceError and CorruptError, each with the fix.
    """
    chosen, on = get_recipe(recipe, epochs, width), choose_device(device)
    method = get_method(method_name)()
    groups = split_phases(check_order(class_order, len(data.classes)), base, phases)
    settings = describe(data, method, chosen, seed, on, groups)
    open_run(out, settings, resume)
    share = checkpoints is not None and not method.depends_on_history
    folder = checkpoints if checkpoints is not None and share else out / PHASES
    seen = list(accumulate(groups))  # the classes of all phases so far, for each phase
    paths = [phase_path(folder, phase_key(settings, method, classes)) for classes in seen]
    progress = _Progress(report, [len(classes) for classes in seen], chosen.epochs)
    records = []
    for phase, path in enumerate(paths):
        finished = load_phase(path)
        carried_out = finished is None
        if finished is None:
            context = PhaseContext(
                phase=phase,
                seen=seen[phase],
                new=groups[phase],
                data=data,
                needs=method.needs,
                recipe=chosen,
                seed=phase_seed(seed, seen[phase]),
                device=on,
                report=progress.of_phase(phase),
            )
            finished = carry_out(method, context)
            save_phase(path, finished)
        elif finished["state"]:
            method.load_state_dict(finished["state"])
        if phase > 0:
            drop_weights(paths[phase - 1])
        records.append(finished["record"])
        result = make_result(settings, records, on)
        write_json(out / RESULT, result)
        progress.tested(phase, result["phases"][-1]["accuracy"], carried_out)
    return result


def carry_out(method: Method, context: PhaseContext) -> dict[str, Any]:
    """One phase: train, then count right answers on raw test images; returns its checkpoint.

    ``record`` counts the test images, and those told right, of each class seen in class order.
    """
    start = time.monotonic()
    classifier = method.train_phase(context)
    images, labels = context.tensors(*context.data.test(context.seen), context.seen, "test")
    right = classifier.predict(images) == labels  # (N,) bool
    record = {
        "correct": torch.bincount(labels[right], minlength=len(context.seen)).tolist(),
        "tested": torch.bincount(labels, minlength=len(context.seen)).tolist(),
        "memory_bytes": dict(method.memory_bytes(context)),
        "seconds": time.monotonic() - start,
    }
    return {"record": record, "weights": classifier.state_dict(), "state": method.state_dict()}


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


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU where there is one; raises OptionError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"no device is called {name!r}; try auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"device {name!r} was asked for, but PyTorch finds no CUDA GPU here")
    return device


def describe(
    data: PhaseData,
    method: Method,
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


def phase_key(settings: Mapping[str, Any], method: Method, seen: Sequence[int]) -> dict[str, Any]:
    """What decides one phase: not how the classes were cut, unless the method has a history."""
    key = {name: settings[name] for name in ("method", "data", "seed", "device", "recipe")}
    key["seen"] = list(seen)
    if method.depends_on_history:
        key["groups"] = settings["groups"]
    return key


def phase_seed(seed: int, seen: Sequence[int]) -> int:
    """The seed of a phase: of the run's seed and the set of classes, equal for all methods.

    So two methods differ in what they learn from, not in luck.
    """
    text = json.dumps([seed, sorted(seen)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")


class _Progress:
    """Turns the reports of one training into those of the run; a phase's work is its classes."""

    def __init__(self, report: Report | None, seen: Sequence[int], epochs: int) -> None:
        self.report, self.seen, self.epochs = report, seen, epochs
        self.start = time.monotonic()
        self.trained = 0  # classes of the phases carried out by this very process

    def of_phase(self, phase: int) -> TrainReport | None:
        """The report to give to the training of ``phase``."""
        if self.report is None:
            return None

        def forward(at: TrainProgress) -> None:
            self._send(phase, at.epoch, at.fraction, loss=at.loss)

        return forward

    def tested(self, phase: int, accuracy: float, carried_out: bool) -> None:
        """Tell the accuracy of a phase that is done."""
        self.trained += self.seen[phase] if carried_out else 0
        self._send(phase, self.epochs, 1.0, accuracy=accuracy)

    def _send(
        self,
        phase: int,
        epoch: int,
        fraction: float,
        *,
        loss: float | None = None,
        accuracy: float | None = None,
    ) -> None:
        if self.report is None:
            return
        done = sum(self.seen[:phase]) + fraction * self.seen[phase]
        worked = self.trained + (fraction * self.seen[phase] if accuracy is None else 0)
        pace = (time.monotonic() - self.start) / worked if worked else None  # seconds a class
        self.report(
            RunProgress(
                phase,
                len(self.seen) - 1,
                self.seen[phase],
                epoch,
                self.epochs,
                done / sum(self.seen),
                loss,
                None if pace is None else pace * (sum(self.seen) - done),
                accuracy,
            )
        )
