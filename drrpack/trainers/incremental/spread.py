"""Trainings that do not need each other, on several processes at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from drrpack.core.settings import own_settings
from drrpack.trainers.incremental.protocol import carry_out, carry_out_open_run
from drrpack.trainers.incremental.run_plan import PlannedRun
from drrpack.trainers.incremental.rundir import load_phase, open_run, save_phase
from drrpack.trainers.ranks import Ranks, shares

# A part of more than this many fair shares of the work is done together. It may be somewhat more
# than one, as spreading is exact and exchanges no gradients.
FAIR_SHARES = 1.5


@dataclass(frozen=True)
class _Task:
    """A training: the classes that it trains on, summed over its phases, and what does it."""

    classes: int
    train: Callable[[], object]


def spread(planned: Sequence[PlannedRun], processes: Ranks) -> None:
    """Let each of several processes train a part of what these runs lack.

    A phase that does not depend on earlier ones is a part, and of other methods a whole run. Each
    part is the same to the last bit as in a run of one process, as it depends on its seed alone.
    What `worth_spreading` leaves out is not trained: the processes carry it out together
    afterwards.

    The folders of all runs are locked meanwhile, by the first process.

    Raises what `carry_out_run` raises.
    """
    tasks = _tasks(planned)
    chosen = worth_spreading([task.classes for task in tasks], processes.size)
    tasks = [tasks[number] for number in chosen]
    mine = shares([task.classes for task in tasks], processes.size)[processes.rank]
    processes.of_all(None)  # all have looked into the folders of the runs: they may change now
    with ExitStack() as open_folders:
        if processes.first:  # for all: nobody else may use these folders meanwhile
            for run in planned:
                open_folders.enter_context(open_run(run.out, run.described))
        processes.of_all(None)
        for number in mine:
            tasks[number].train()
        processes.of_all(None)


def worth_spreading(sizes: Sequence[int], processes: int) -> list[int]:
    """The positions of those parts that are spread over several processes.

    A part that is much larger than a fair share is none of them, because all would wait for its
    process; nor is any, where some process would get none.
    """
    most = FAIR_SHARES * sum(sizes) / processes
    chosen = [number for number, size in enumerate(sizes) if size <= most]
    return chosen if len(chosen) >= processes else []


def _tasks(planned: Sequence[PlannedRun]) -> list[_Task]:
    """What is not finished yet; of phases that runs have in common, one."""
    tasks: dict[Path, _Task] = {}
    for run in planned:
        lacking = [n for n, path in enumerate(run.paths) if not path.exists()]
        seen = {n: len(run.contexts[n].seen) for n in lacking}
        if not lacking:
            continue
        if run.settings.method.depends_on_history:
            tasks[run.out] = _Task(sum(seen.values()), partial(carry_out_open_run, run))
            continue
        for n in lacking:
            tasks.setdefault(run.paths[n], _Task(seen[n], partial(_train_phase, run, n)))
    return list(tasks.values())


@own_settings()
def _train_phase(run: PlannedRun, phase: int) -> None:
    """Train a phase by a method without history, and keep it."""
    context = replace(run.contexts[phase], logs=[])
    how = run.settings.test_augmentation
    finished = carry_out(run.settings.new_method(), context, run.through_codec, how)
    if load_phase(run.paths[phase]) is None:
        last = phase == len(run.paths) - 1
        save_phase(run.paths[phase], finished if last else finished.record_alone)
