"""The class-incremental protocol: a base of classes, then the rest in equal phases (section 6)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from drrpack.core.arrays import Labelled
from drrpack.core.errors import MethodError
from drrpack.core.settings import own_settings
from drrpack.core.wording import shortened
from drrpack.formats.files.own import RESULT
from drrpack.formats.indices import whole_number
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.phase_data import PhaseData
from drrpack.trainers.incremental.records import (
    Confusion,
    FinishedPhase,
    PhaseRecord,
    all_losses,
    all_terms,
)
from drrpack.trainers.incremental.requirements import Known, check_needs
from drrpack.trainers.incremental.results import Result, make_result
from drrpack.trainers.incremental.run_plan import PlannedRun, plan_run
from drrpack.trainers.incremental.run_progress import Progress, Report
from drrpack.trainers.incremental.rundir import (
    check_history,
    drop_state,
    drop_weights,
    load_phase,
    open_run,
    save_phase,
    write_json,
)
from drrpack.trainers.incremental.settings import RunSettings
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.views import TestAugmentation, predict
from drrpack.trainers.ranks import ALONE, Ranks


def run(
    data: PhaseData,
    settings: RunSettings,
    out: Path,
    *,
    resume: bool = False,
    checkpoints: Path | None = None,
    report: Report | None = None,
) -> Result:
    """Train and test phase by phase; returns what ``out/result.json`` holds.

    The arguments are those of `plan_run`, and what that and `check_runs` raise is raised here.
    """
    planned = plan_run(data, settings, out, resume=resume, checkpoints=checkpoints)
    check_runs([planned])
    return carry_out_run(planned, report)


def check_runs(planned: Sequence[PlannedRun]) -> None:
    """Look at all that several runs will need before the first of them trains.

    Raises:
        SourceError, OptionError, FormatError: what is missing. CorruptError: a checkpoint that one
            of them would go on from is damaged, or holds too little to go on from.
    """
    known: Known = set()  # runs of one study have their data in common
    for one in planned:
        for path in one.paths:
            load_phase(path)
        check_history(one.paths, one.settings.method)
        if not one.finished:
            check_needs(one.settings.new_method(), one.contexts, one.through_codec, known)


def carry_out_run(
    planned: PlannedRun, report: Report | None = None, processes: Ranks = ALONE
) -> Result:
    """Train and test phase by phase; returns what ``out/result.json`` holds.

    Several ``processes`` carry out each phase together: they share the batches of its trainings,
    and the first one writes.

    Raises WriteError, OutputError where another process is at the run's folder, OptionError for a
    training that diverges, and MethodError for a method that breaks a rule of its interface.
    """
    ours = open_run(planned.out, planned.described) if processes.first else nullcontext()
    with ours:
        return carry_out_open_run(planned, report, processes)


@own_settings()
def carry_out_open_run(
    planned: PlannedRun, report: Report | None = None, processes: Ranks = ALONE
) -> Result:
    """The same for a run whose folder is opened and locked already."""
    settings, records = planned.settings, []
    seen = [len(context.seen) for context in planned.contexts]
    progress, method = Progress(report, seen, settings.recipe.epochs), settings.new_method()
    for phase, (context, path) in enumerate(zip(planned.contexts, planned.paths, strict=True)):
        finished = _found(path, processes)
        carried_out = finished is None
        if finished is None:
            told = progress.of_phase(phase)
            context = replace(context, report=told, logs=[], processes=processes)
            how = settings.test_augmentation
            finished = carry_out(method, context, planned.through_codec, how)
            if processes.first:
                save_phase(path, finished)
        elif finished.state:
            method.load_state_dict(finished.state, context)
        records.append(_measured(finished, processes))
        result = make_result(planned.described, records, settings.device, planned.codec_classes)
        if processes.first:
            _drop_old(planned.paths[:phase])
            write_json(planned.out / RESULT, result.to_json())
        progress.tested(phase, result.last_accuracy, carried_out)
    return result


def _measured(finished: FinishedPhase, processes: Ranks) -> PhaseRecord:
    """What the first process has measured, for all: times differ."""
    return processes.from_first(lambda: finished.record)


def _drop_old(before: Sequence[Path]) -> None:
    """Drop what the checkpoints before the newest one no longer need; only the last two count, as
    earlier phases have been through this."""
    for path in before[-1:]:
        drop_weights(path)
    for path in before[-2:-1]:
        drop_state(path)


def _found(path: Path, processes: Ranks) -> FinishedPhase | None:
    """The checkpoint of a phase, if it was there when the last process came here.

    Until all have come, none goes on to change the folder.
    """
    exists, *_ = processes.of_all(path.exists())  # as the first one sees it, which writes it
    return load_phase(path) if exists else None


def carry_out(
    method: Method,
    context: PhaseContext,
    through_codec: bool = False,
    how: TestAugmentation = "none",
) -> FinishedPhase:
    """One phase: train, then count answers on raw test images.

    With ``through_codec`` the test images are told once more after the codec has encoded and
    decoded them. ``how`` says by which views of a test image its class is told.
    """
    start = time.monotonic()
    classifier = _checked(method, method.train_phase(context))
    seen = context.data.test(context.seen)
    decoded = context.data.test_through_codec(context.seen) if through_codec else None
    record = PhaseRecord(
        confusion=_confusion(classifier, context, seen, how),
        through_codec=None if decoded is None else _confusion(classifier, context, decoded, how),
        losses=all_losses(context.logs),
        loss_terms=all_terms(context.logs),
        memory_bytes=_bytes_kept(method, context),
        seconds=time.monotonic() - start,
    )
    return FinishedPhase(record, classifier.state_dict(), method.state_dict())


def _checked(method: Method, found: object) -> Classifier:
    """What ``train_phase`` returned; raises MethodError for anything but a classifier."""
    if isinstance(found, Classifier):
        return found
    raise MethodError(
        f"the method {method.name!r}: found {shortened(found)} as the answer of train_phase, "
        "expected a classifier with predict and state_dict; return what context.train gives"
    )


def _bytes_kept(method: Method, context: PhaseContext) -> dict[str, int]:
    """The answer of ``memory_bytes``; raises MethodError unless it has a whole number a part."""
    found: object = method.memory_bytes(context)
    if isinstance(found, Mapping):
        kept = {str(part): whole_number(size) for part, size in found.items()}
        whole = {part: size for part, size in kept.items() if size is not None and size >= 0}
        if len(whole) == len(found):
            return whole
    raise MethodError(
        f"the method {method.name!r}: found {shortened(found)} as the answer of memory_bytes, "
        "expected bytes by part, such as {'payload': 1200}"
    )


def _confusion(
    classifier: Classifier, context: PhaseContext, view: Labelled, how: TestAugmentation
) -> Confusion:
    """Test images by their class (rows) and the class they are taken for, both as in ``seen``."""
    images, labels = context.tensors(*view, context.seen, "test")
    count = len(context.seen)
    told = predict(classifier, images, how)  # (N,)
    counts = torch.bincount(labels * count + told, minlength=count * count)
    rows: Confusion = counts.view(count, count).tolist()
    return rows
