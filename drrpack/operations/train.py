"""Train class-incrementally on a ``.drr`` file: the work of ``drrpack train``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError
from drrpack.core.progress import Notice
from drrpack.formats.container import Reader
from drrpack.formats.files.addresses import output_path
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.labelling import ClassesFrom, Labelling
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.source import Given, Opening
from drrpack.operations.grow import Growth, check_growth
from drrpack.operations.grow import grow as grow_memory
from drrpack.operations.preparing import Trust, chosen_classes, pictures, trusted
from drrpack.operations.progress import Report, RunStarted, heard, silent
from drrpack.operations.train_options import ImageOptions, RunOptions
from drrpack.trainers.incremental.estimate import estimate
from drrpack.trainers.incremental.grown import GrownMemory
from drrpack.trainers.incremental.memory_data import MemoryData
from drrpack.trainers.incremental.methods import Method
from drrpack.trainers.incremental.results import Result
from drrpack.trainers.incremental.run_plan import PlannedRun
from drrpack.trainers.incremental.rundir import MEMORY
from drrpack.trainers.incremental.study import CEILING, Job, plan, study
from drrpack.trainers.ranks import Ranks, own_device, ranks


def train(
    memory: AnyPath,
    out: AnyPath = "run",
    *,
    method: str | type[Method] = "drr",
    options: Mapping[str, object] | None = None,
    ceiling: bool = True,
    phases: int | Sequence[int] = 10,
    base: int | None = None,
    classes: str | Sequence[str] | None = None,
    class_order: str | int | Sequence[str | int] | None = "file",
    recipe: str = "fast",
    epochs: int | None = None,
    width: int | None = None,
    network: str = "resnet18",
    augmentation: str = "crop",
    seed: int = 0,
    seeds: int = 1,
    budget_mb: float | None = None,
    exemplars: int = 20,
    test: Given | None = None,
    size: int | None = None,
    depth: int | None = None,
    value_range: tuple[float, float] | None = None,
    max_megapixels: float | None = None,
    classes_from: ClassesFrom | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    skip_bad: bool = False,
    source: Given | None = None,
    class_names: Sequence[str] | None = None,
    trust: Trust = False,
    test_view: str = "raw",
    test_augmentation: str = "none",
    compiled: bool = False,
    device: str | torch.device = "auto",
    grow: bool = False,
    grow_epochs: int | None = None,
    grow_minutes: float | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> list[Result]:
    """Train and test a classifier phase by phase; docs/training.md explains the figures.

    Several processes within `drrpack.trainers.ranks.sharing` spread the trainings that do not need
    each other: phases of methods without history, such as drr and ub, and whole runs of the others.
    Where that would leave some of them idle, they train one network together.

    The folder ``out`` receives result.json, accuracy.png and a checkpoint for each phase. Several
    runs get a folder each in it, and a summary.json.

    Args:
        memory: the .drr file, or its address.
        out: the folder for results.
        method: its name, ``package.module:Class`` for a method of your own, or the class itself.
        options: values of the method's options by name; a text is parsed as on the command line.
        ceiling: also train the upper bound ``ub``, if the raw training images can be found.
        phases: number of phases after the base, which add equally many classes; several numbers
            make several runs.
        base: number of classes in phase 0; by default half of the classes, and with ``phases=0``
            all of them.
        classes: use only these classes: a list of names and of numbers in the file, or a
            text such as ``"cat,dog"``, ``"20"`` for the first 20, or ``"50:70"``.
        class_order: ``"file"`` for the order that the file records, or else that of its classes;
            a seed to shuffle the classes in use by, a JSON file with all names, all names, or all
            labels.
        recipe: ``"fast"``, or ``"paper"`` for 200 epochs.
        epochs, width: replace those of the recipe; 64 is the usual width of ResNet-18.
        network: ``"resnet18"``, ``"resnet18-medium"`` or ``"resnet18-large"`` with the strided
            stems of larger images, or ``"resnet32"``, whose usual width is 16.
        augmentation: of training images beside flips: ``"crop"`` as in the paper, or
            ``"autoaugment"``, ``"randaugment"`` or ``"trivialaugment"`` after the crop.
        seed, seeds: the first seed, and the number of seeds; each seed makes a run.
        budget_mb: megabytes (1,000,000 bytes) that the method may keep in total.
        exemplars: raw images of each class that a method such as ``er`` keeps without a budget.
        test: raw test images, if the source has none: a folder, or a dataset as for
            `drrpack.encode`.
        size, depth, value_range, max_megapixels, classes_from, image_column, label_column,
            skip_bad: how the pictures of ``test`` are read, as for `drrpack.encode`; by default as
            the file records that its own were.
        source: the folder that holds the originals now, if it has moved, or the dataset that was
            encoded.
        class_names: names for the labels of these datasets, if they do not have the file's.
        trust: whether to read folders that the file itself names; or a function that is called
            with these paths and decides.
        test_view: ``"both"`` also tests on images that went through the codec.
        test_augmentation: by which views of a test image its class is told, their scores added:
            ``"none"`` (the image alone), ``"flip"`` or ``"ten-crop"``.
        compiled: run the network through torch.compile.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        grow: let the memory grow with the phases, as in the paper: it begins with the base, and
            each phase appends its classes and fine-tunes the entropy model. The files stay in
            ``out/memory``, and results hold the bytes of each phase's. Otherwise the one file
            counts in every phase.
        grow_epochs, grow_minutes: how long to fine-tune in each phase; by default as
            `drrpack.append`.
        resume: continue after the last finished phase.
        report: called with events while the work goes on; see `drrpack.operations.progress`.

    Returns:
        A result for each run: for each number of phases and seed that of the method, then that of
        the upper bound.

    Raises:
        OptionError, SourceError, FormatError, OutputError, MethodError: each names the fix. All
            runs are checked before the first of them trains.
    """
    processes = ranks()
    tell = heard(report) if processes.first else silent
    folder, place = output_path(out), own_device(choose_device(device))
    runs = RunOptions(
        method=method, options=options or {}, ceiling=ceiling, phases=phases, base=base,
        class_order=class_order, recipe=recipe, epochs=epochs, width=width, network=network,
        augmentation=augmentation, seed=seed, seeds=seeds, budget_mb=budget_mb,
        exemplars=exemplars, test_view=test_view, test_augmentation=test_augmentation,
        compiled=compiled, device=place,
    ).check()  # fmt: skip
    how = Opening(
        Reading(size, depth, value_range, max_megapixels), skip_bad,
        labelling=Labelling(classes_from, image_column, label_column),
    )  # fmt: skip
    raw_test, originals = pictures(test, class_names), pictures(source, class_names)
    images = ImageOptions(memory, classes, raw_test, how, originals, trust, place).check()
    growth = Growth(grow_epochs, grow_minutes, runs.seed, place)
    check_growth(growth, grow, runs.kind, runs.counts, budget_mb)
    if grow and processes.size > 1:
        raise OptionError("`grow=True`: a memory grows in one process; start it without torchrun")
    data = _open(images, growth if grow else None, tell, processes)
    jobs = _jobs(runs, data, folder, tell)

    def ready(planned: Sequence[PlannedRun]) -> None:
        if isinstance(data, GrownMemory):  # all runs cut the classes in the same way
            seen, groups = zip(*((one.seen, one.new) for one in planned[0].contexts), strict=True)
            files = grow_memory(memory, data, groups, folder / MEMORY, growth, tell)
            data.keep(dict(zip(seen, files, strict=True)))
        told = processes.first and report is not None
        if told and (found := estimate(planned)) is not None:
            tell(found)

    def before(job: Job, planned: PlannedRun) -> None:
        tell(_started(jobs, job, planned))

    return study(
        data, jobs, folder,
        resume=resume, ready=ready, before=before, report=tell, processes=processes,
    )  # fmt: skip


def _open(
    images: ImageOptions, growth: Growth | None, tell: Report, processes: Ranks
) -> MemoryData:
    """The chosen classes of a file, and their raw images.

    Whether paths that the file names may be read is asked once, where somebody sees it.
    """
    with Reader(images.memory) as reader:
        chosen = chosen_classes(reader.classes, images.classes, tell)
        trust = processes.from_first(lambda: trusted(reader, images.source, images.trust))
    kind = MemoryData if growth is None else partial(GrownMemory, growth=growth.key)
    return kind(
        images.memory, numbers=chosen, test=images.test, source=images.source, trusted=trust,
        device=images.device, how=images.how,
    )  # fmt: skip


def _jobs(runs: RunOptions, data: MemoryData, folder: Path, tell: Report) -> list[Job]:
    """All runs, each with its ceiling, if one is wanted and the raw training images are there."""
    settings, ceiling = runs.settings(data), runs.ceiling
    if ceiling and runs.kind.name != CEILING and not data.has_raw:
        tell(Notice("the raw training images can't be found: no ceiling beside this result"))
        ceiling = False
    seeds = range(runs.seed, runs.seed + runs.seeds)
    return plan(folder, settings, runs.counts, seeds, ceiling=ceiling)


def _started(jobs: Sequence[Job], job: Job, planned: PlannedRun) -> RunStarted:
    settings = job.settings
    return RunStarted(
        method=job.method,
        classes=len(planned.contexts[0].data.classes),
        phases=settings.phases,
        seed=settings.seed,
        device=settings.device,
        folder=job.folder,
        number=jobs.index(job),
        runs=len(jobs),
        codec_classes=planned.codec_classes,
        name=job.name(jobs),
    )
