"""Several runs that belong together: a method and its ceiling, numbers of phases, seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from drrpack.formats.files.own import PHASES
from drrpack.formats.files.publish import remove_leftovers
from drrpack.trainers.incremental.methods import get_method
from drrpack.trainers.incremental.phase_data import PhaseData
from drrpack.trainers.incremental.protocol import carry_out_run, check_runs
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.run_plan import PlannedRun, plan_run
from drrpack.trainers.incremental.run_progress import Report
from drrpack.trainers.incremental.rundir import SUMMARY, check_folders, write_json
from drrpack.trainers.incremental.settings import RunSettings
from drrpack.trainers.incremental.spread import spread
from drrpack.trainers.incremental.tables import plot, table
from drrpack.trainers.incremental.tensorboard import logged
from drrpack.trainers.ranks import ALONE, Ranks

CEILING = "ub"


@dataclass(frozen=True)
class Job:
    """One run of a study, and the folder it goes into."""

    settings: RunSettings
    folder: Path

    @property
    def method(self) -> str:
        return self.settings.method.name

    def name(self, jobs: Sequence[Job]) -> str:
        """What tells this run from the other ``jobs``: its method, and ``phases/seed`` where these
        are not the same in all of them."""
        if not several(jobs):
            return self.method
        return f"{self.method} {self.settings.phases}/{self.settings.seed}"


def several(jobs: Sequence[Job]) -> bool:
    """Whether a study has more than one run beside ceilings, and so a folder for each of them."""
    return len({(job.settings.phases, job.settings.seed) for job in jobs}) > 1


def plan(
    out: Path, settings: RunSettings, phases: Sequence[int], seeds: Sequence[int], *, ceiling: bool
) -> list[Job]:
    """Runs for all numbers of phases and seeds, each followed by its ceiling.

    A single run goes into ``out`` itself and its ceiling into ``out/ub``. Several runs have folders
    with their names.
    """
    methods = [settings]
    if ceiling and settings.method.name != CEILING:
        methods.append(replace(settings, method=get_method(CEILING), options=None))
    alone = len(phases) == len(seeds) == 1
    jobs = []
    for count in phases:
        for seed in seeds:
            for one in methods:
                name = one.method.name
                folder = out / f"{name}-{count}phases-seed{seed}"
                if alone:
                    folder = out if one is settings else out / name
                jobs.append(Job(replace(one, phases=count, seed=seed), folder))
    return jobs


def study(
    data: PhaseData,
    jobs: Sequence[Job],
    out: Path,
    *,
    resume: bool = False,
    ready: Callable[[Sequence[PlannedRun]], None] | None = None,
    before: Callable[[Job, PlannedRun], None] | None = None,
    report: Report | None = None,
    processes: Ranks = ALONE,
) -> list[Result]:
    """Carry out all ``jobs`` and leave ``accuracy.png`` in ``out``; with several also
    ``summary.json``: the rows of the table, means and deviations over seeds.

    ``ready`` is called when all runs are planned and checked, ``before`` before each. Several
    ``processes`` spread the trainings, where that keeps all of them busy; what is left they carry
    out together. The first one writes what is of all of them.

    Runs share the phases that they have in common, in ``out/phases``. What any of them would be
    refused for is raised before the first one trains: what `check_folders`, `plan_run` and
    `check_runs` raise.
    """
    apart = several(jobs)
    if apart:
        check_folders(out)
    shared = out / PHASES if apart else None
    planned = [
        plan_run(data, job.settings, job.folder, resume=resume, checkpoints=shared) for job in jobs
    ]
    check_runs(planned)
    if shared is not None and processes.first:
        remove_leftovers(shared)  # of runs that were killed
    if ready is not None:
        ready(planned)
    if processes.size > 1:
        spread(planned, processes)
    results = []
    for job, one in zip(jobs, planned, strict=True):
        if before is not None:
            before(job, one)
        with logged(job.folder, report) if processes.first else nullcontext() as told:
            results.append(carry_out_run(one, told, processes))
    if processes.first:
        if apart:
            write_json(out / SUMMARY, {"rows": [row.to_json() for row in table(results)]})
        plot(results, out / "accuracy.png")
    processes.of_all(None)
    return results


def by_phases(results: Sequence[Result]) -> Iterator[tuple[int, list[Result]]]:
    """Results by their number of phases, in the order in which they come."""
    for count in dict.fromkeys(result.phase_count for result in results):
        yield count, [result for result in results if result.phase_count == count]
