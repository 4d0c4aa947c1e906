"""The class-incremental protocol: a base of classes, then the rest in equal phases (section 6)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from drrpack.core.settings import own_settings
from drrpack.trainers.incremental.grouping import Result
from drrpack.trainers.incremental.methods import Method, PhaseContext, PhaseData
from drrpack.trainers.incremental.methods.base import Labelled
from drrpack.trainers.incremental.requirements import Known, check_needs
from drrpack.trainers.incremental.results import make_result
from drrpack.trainers.incremental.run_plan import PlannedRun, plan_run
from drrpack.trainers.incremental.run_progress import Progress, Report
from drrpack.trainers.incremental.rundir import (
    RESULT,
    drop_weights,
    load_phase,
    open_run,
    save_phase,
    write_json,
)
from drrpack.trainers.learning.classifier import Classifier


def run(
    data: PhaseData, method_name: str, *, report: Report | None = None, **options: Any
) -> Result:
    """Train and test ``method_name`` phase by phase; returns what ``out/result.json`` holds.

    The ``options`` are those of `plan_run`, and what that and `check_runs` raise is raised here.
    """
    planned = plan_run(data, method_name, **options)
    check_runs([planned])
    return carry_out_run(planned, report)


def check_runs(planned: Sequence[PlannedRun]) -> None:
    """Look at all that several runs will need before the first of them trains.

    Raises:
        SourceError, OptionError, FormatError: what is missing. CorruptError: a checkpoint that one
            of them would go on from is damaged.
    """
    known: Known = set()  # runs of one study have their data in common
    for one in planned:
        for path in one.paths:
            load_phase(path)
        if not one.finished:
            check_needs(one.method(), one.contexts, one.test_view == "both", known)


@own_settings()
def carry_out_run(planned: PlannedRun, report: Report | None = None) -> Result:
    """Train and test phase by phase; returns what ``out/result.json`` holds.

    Raises WriteError, OutputError where another process is at the run's folder, and OptionError
    where the training diverges.
    """
    contexts = planned.contexts
    seen = [len(context.seen) for context in contexts]
    progress = Progress(report, seen, contexts[0].recipe.epochs)
    with open_run(planned.out, planned.settings):
        return _carry_out_phases(planned, progress)


def _carry_out_phases(planned: PlannedRun, progress: Progress) -> Result:
    method, on = planned.method(), planned.contexts[0].device
    codec = {"codec_classes": planned.codec_classes} if planned.codec_classes else {}
    records = []
    for phase, (context, path) in enumerate(zip(planned.contexts, planned.paths, strict=True)):
        finished = load_phase(path)
        carried_out = finished is None
        if finished is None:
            context = replace(context, report=progress.of_phase(phase))
            finished = carry_out(method, context, planned.test_view == "both")
            save_phase(path, finished)
        elif finished["state"]:
            method.load_state_dict(finished["state"])
        if phase > 0:
            drop_weights(planned.paths[phase - 1])
        records.append(finished["record"])
        result = make_result(planned.settings, records, on) | codec
        write_json(planned.out / RESULT, result)
        progress.tested(phase, result["phases"][-1]["accuracy"], carried_out)
    return result


def carry_out(method: Method, context: PhaseContext, through_codec: bool = False) -> dict[str, Any]:
    """One phase: train, then count answers on raw test images; returns its checkpoint.

    With ``through_codec`` the test images are told once more after the codec has encoded and
    decoded them.
    """
    start = time.monotonic()
    classifier = method.train_phase(context)
    views = {"confusion": context.data.test(context.seen)}
    if through_codec:
        views["through_codec"] = context.data.test_through_codec(context.seen)
    record = {
        **{name: _confusion(classifier, context, view) for name, view in views.items()},
        "losses": getattr(classifier, "losses", []),
        "memory_bytes": dict(method.memory_bytes(context)),
        "seconds": time.monotonic() - start,
    }
    return {"record": record, "weights": classifier.state_dict(), "state": method.state_dict()}


def _confusion(classifier: Classifier, context: PhaseContext, view: Labelled) -> list[list[int]]:
    """Test images by their class (rows) and the class they are taken for, both as in ``seen``."""
    images, labels = context.tensors(*view, context.seen, "test")
    count = len(context.seen)
    told = classifier.predict(images)  # (N,)
    counts = torch.bincount(labels * count + told, minlength=count * count)
    rows: list[list[int]] = counts.view(count, count).tolist()
    return rows
