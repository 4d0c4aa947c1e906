"""Several runs that belong together: a method and its ceiling, numbers of phases, seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.grouping import Result
from drrpack.trainers.incremental.methods import PhaseData
from drrpack.trainers.incremental.protocol import carry_out_run, check_runs
from drrpack.trainers.incremental.results import plot, table
from drrpack.trainers.incremental.run_plan import PlannedRun, plan_run
from drrpack.trainers.incremental.run_progress import Report
from drrpack.trainers.incremental.rundir import write_json
from drrpack.trainers.incremental.tensorboard import logged

CEILING = "ub"


@dataclass(frozen=True)
class Job:
    """One run of a study, and the folder it goes into."""

    method: str
    phases: int
    seed: int
    folder: Path


def plan(
    out: Path, method: str, phases: Sequence[int], seeds: Sequence[int], *, ceiling: bool
) -> list[Job]:
    """All runs, the ceiling behind each. A single one goes into ``out`` itself, its ceiling into
    ``out/ub``; several have folders that are named after them."""
    methods = [method, CEILING] if ceiling and method != CEILING else [method]
    alone = len(phases) == len(seeds) == 1
    return [
        Job(name, count, seed, _folder(out, method, name, count, seed, alone))
        for count in phases
        for seed in seeds
        for name in methods
    ]


def _folder(out: Path, method: str, name: str, phases: int, seed: int, alone: bool) -> Path:
    if alone:
        return out if name == method else out / name
    return out / f"{name}-{phases}phases-seed{seed}"


def study(
    data: PhaseData,
    jobs: Sequence[Job],
    out: Path,
    *,
    before: Callable[[Job, PlannedRun], None] | None = None,
    report: Report | None = None,
    **settings: Any,
) -> list[Result]:
    """Carry out all ``jobs`` and leave ``accuracy.png`` in ``out``; with several also
    ``summary.json``: the rows of the table, means and deviations over seeds.

    Runs share the phases that they have in common, in ``out/phases``. ``settings`` are those of
    `drrpack.trainers.incremental.protocol.plan_run`. What any of them would be refused for is
    raised before the first one trains: what `plan_run` and `check_runs` raise.
    """
    shared = out / "phases" if len({(job.phases, job.seed) for job in jobs}) > 1 else None
    planned = [_planned(data, job, shared, settings) for job in jobs]
    check_runs(planned)
    results = []
    for job, one in zip(jobs, planned, strict=True):
        if before is not None:
            before(job, one)
        with logged(job.folder, report) as told:
            results.append(carry_out_run(one, told))
    if shared is not None:
        write_json(out / "summary.json", {"rows": table(results)})
    plot(results, out / "accuracy.png")
    return results


def _planned(
    data: PhaseData, job: Job, shared: Path | None, settings: Mapping[str, Any]
) -> PlannedRun:
    own: dict[str, Any] = {"phases": job.phases, "seed": job.seed, "out": job.folder}
    return plan_run(data, job.method, checkpoints=shared, **own, **settings)


def numbers(text: str, option: str) -> list[int]:
    """``5,10,25`` as numbers; raises OptionError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise OptionError(f"{option} {text}: give a number, or several with commas, such as 5,10")
    return [int(part) for part in parts]


def by_phases(results: Sequence[Result]) -> Iterator[tuple[int, list[Result]]]:
    """Results by their number of phases, in the order in which they come."""
    counts = dict.fromkeys(len(result["phases"]) - 1 for result in results)
    for count in counts:
        yield count, [result for result in results if len(result["phases"]) - 1 == count]
