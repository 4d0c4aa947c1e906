"""Labelled pictures -> ``mem.drr``: the work of ``drrpack encode``, from source to checked file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError
from drrpack.core.pricing import with_quality
from drrpack.core.progress import Step
from drrpack.core.settings import float_arithmetic
from drrpack.formats import container, metadata, originals
from drrpack.formats.account import Stats
from drrpack.formats.container import Memory
from drrpack.formats.files.addresses import local_path, output_path
from drrpack.formats.files.publish import replacing
from drrpack.formats.files.spool import Spool
from drrpack.formats.layout import Json
from drrpack.formats.shards import replacing_shards, write_shards
from drrpack.formats.sources.labelling import ClassesFrom, Labelling
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.source import Given, LabelledDataset, Opening
from drrpack.operations import figures
from drrpack.operations.encode_codecs import (
    of_smallest_file,
    possible_models,
    shared_codecs,
    stored,
)
from drrpack.operations.encode_plan import EncodePlan, plan_encode
from drrpack.operations.encoding.advice import advice
from drrpack.operations.encoding.kept import kept_beside
from drrpack.operations.encoding.options import DEFAULT_MINUTES, EncodeOptions, Entropy, Fit
from drrpack.operations.encoding.pieces import divide
from drrpack.operations.encoding.shards import MB, check_models, divided
from drrpack.operations.encoding.work import Work
from drrpack.operations.preparing import (
    Pathlike,
    as_seed,
    as_whole,
    budget,
    downloaded,
    names_of,
    positive,
    tell_of,
    tell_of_few_raw,
    tell_of_labels,
    tell_of_left,
    tidy,
)
from drrpack.operations.progress import Report, heard, silent
from drrpack.operations.raw_exemplars import RawChoice, raw_exemplars
from drrpack.operations.stats import stats, stats_of_shards
from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.incremental.exemplars import Selection
from drrpack.trainers.ranks import Ranks, own_device, ranks


def encode(
    source: Given,
    output: Pathlike,
    *,
    size: int | None = None,
    depth: int | None = None,
    value_range: tuple[float, float] | None = None,
    max_megapixels: float | None = None,
    classes_from: ClassesFrom | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    class_order: str | int | Sequence[str] | None = None,
    fit_classes: int | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    codec: Pathlike | None = None,
    fit: Fit = "no",
    family: str | None = None,
    preset: str | None = None,
    entropy: Entropy = "auto",
    quality: int | None = None,
    raw_per_class: int = 0,
    raw_select: Selection = "herding",
    decoder_only: bool = False,
    thin: bool = False,
    shard_mb: float | None = None,
    device: str = "auto",
    seed: int = 0,
    download: str | None = None,
    skip_bad: bool = False,
    force: bool = False,
    class_names: Sequence[str] | None = None,
    test: LabelledDataset | None = None,
    report: Report | None = None,
) -> Stats:
    """Turn labelled pictures into a ``.drr`` file, or several; returns the account of its bytes.

    Pictures become RGB with 8 bits a channel; transparency is dropped, not blended. After an
    interruption the same call continues the fit, and takes over what was encoded. Several processes
    within `drrpack.trainers.ranks.sharing` share the work, and write the file that one would.

    Args:
        source: an image folder, a folder with ``train/`` and ``test/``, a CIFAR folder,
            ``"sklearn:digits"``, or a dataset of ``(image, label)``; see
            `drrpack.formats.sources.source.open_source`.
        output: the file to write; ``force`` overwrites an existing file.
        size: resize every image to ``size`` x ``size`` pixels.
        depth, value_range: bit depth, or the values of black and white, of greyscale pictures with
            more than 8 bits.
        max_megapixels: refuse pictures of more megapixels than this; by default 89.
        classes_from: of folders in folders, the class is the first folder, with all that lies below
            it (``"top"``), or the folder that holds the picture (``"parent"``).
        image_column, label_column: the columns with the pictures and with the classes, where a
            table has several; in a tar the endings of the members' names, or a key in the JSON.
        fit: ``"scratch"`` fits a new codec, ``"finetune"`` continues to fit the existing codec, and
            ``"decoder"`` only its decoder. ``"no"`` uses the codec as it is.
        family: of the codec that is fitted from scratch or comes with drrpack: ``"small"``, meant
            for up to 48 pixels a side, ``"medium"`` for up to 128, ``"large"`` for more, or another
            one of `drrpack.core.families`; by default the one meant for this size.
        class_order: the order in which the classes will be learned: a seed to shuffle by, a JSON
            file with all names, or all names; by default that of the source. The file records it,
            and `drrpack.train` takes it over. The numbers of the classes do not change.
        preset: which networks a fit from scratch makes, and how: ``"drrpack"`` (the default), or
            ``"paper"`` for those of the DRR paper; see `drrpack.trainers.fitting.presets`.
        fit_classes: fit on this many classes, the first ones of the class order; by default on
            half of the classes.
        epochs, minutes: how long to fit; ``epochs`` counts for each network, ``minutes`` for all.
        codec: the ``.drr`` file whose codec to use instead of the one that comes with drrpack.
        entropy: ``"context"``, ``"adapted"`` for the context model with a small correction for
            these images, ``"table"`` for how often each code occurs in them, ``"bitswap"``, or
            ``"auto"`` for the one that makes the smallest file; with ``codec`` or ``fit`` that is
            one of the codec's own.
        quality: rate/distortion trade-off, 0 to 100; 100 always takes the nearest code. By default
            that of ``codec``, or 75.
        raw_per_class, raw_select: also keep this many raw images of each class, chosen by
            ``"herding"`` (they represent the mean of the class) or at ``"random"``.
        decoder_only: leave the VQ-VAE's encoder out: the file is smaller, but nothing can be
            appended to it unless the codec comes with drrpack.
        thin: leave out models that come with drrpack.
        shard_mb: write several files of at most so many megabytes (1,000,000 bytes) in the place of
            ``output``: of ``mem.drr`` files such as ``mem-00000-of-00003.drr``, each with the
            models and with whole classes. The account is that of all files together.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        seed: random seed of initial weights, batches and noise.
        download: download ``"cifar10"`` or ``"cifar100"`` into the folder ``source`` first.
        skip_bad: leave out files that can't be read as pictures.
        class_names, test: names for the labels of a dataset, and a dataset that is its test split.
        report: called with events while the work goes on.

    Raises:
        SourceError, OptionError, FormatError, OutputError: each names what was found and the fix.
        DrrError: the streams do not decode to the same codes; nothing is written then.
    """
    processes = ranks()
    report, output = heard(report) if processes.first else silent, output_path(output)
    positive(shard_mb=shard_mb)
    shard_bytes = None if shard_mb is None else int(round(shard_mb * MB, 3))
    place = own_device(choose_device(device))
    if processes.first:
        tidy(output, report)
    quality, fit_classes = as_whole("quality", quality), as_whole("fit_classes", fit_classes)
    raw_per_class, seed = as_whole("raw_per_class", raw_per_class), as_seed(seed)
    spent = _budget(epochs, minutes, fit, place.type)
    opening = Opening(
        Reading(size, depth, value_range, max_megapixels), skip_bad,
        class_names=names_of(class_names), test=test,
        labelling=Labelling(classes_from, image_column, label_column),
    )  # fmt: skip
    # before pictures are fetched and read, which may take long
    with processes.holding(_lock(output, shard_bytes)):
        tell_of_left(output, report, taken_over=True)
        if download is not None:
            source = processes.from_first(partial(downloaded, download, source))
        options = EncodeOptions(
            source, output, place, spent, opening, force=force, class_order=class_order,
            fit_classes=fit_classes, codec=None if codec is None else local_path(codec), fit=fit,
            family=family, preset=preset, entropy=entropy, quality=quality, seed=seed,
            raw_per_class=raw_per_class, raw_select=raw_select, decoder_only=decoder_only,
            thin=thin, shard_bytes=shard_bytes,
        )  # fmt: skip
        plan = plan_encode(options, processes)
        report(plan)
        tell_of(plan.source, report)
        tell_of_labels(plan.source, report)
        tell_of_few_raw(plan.source, report, raw_per_class)
        carry_out(plan, report, processes)
    made = stats(output) if shard_bytes is None else stats_of_shards(output)
    if processes.first:
        own = thin or decoder_only or codec is not None or fit != "no"
        advised = advice(plan.source, made, can_be_thin=not own)
        if advised is not None:
            report(advised)
    return made


def _budget(epochs: int | None, minutes: float | None, fit: Fit, device: str) -> Budget:
    if fit == "no" and (epochs is not None or minutes is not None):
        raise OptionError(
            "`epochs` and `minutes` have no meaning unless something is fitted: see `fit`",
            option="epochs" if epochs is not None else "minutes",
        )
    return budget(epochs, minutes, DEFAULT_MINUTES[device])


@float_arithmetic()
def carry_out(
    plan: EncodePlan, report: Report | None = None, processes: Ranks | None = None
) -> Path:
    """Carry out ``plan``: fit or load the codec, encode, check, measure, write. Returns the path.

    Each of several ``processes`` calls this. They fit together; the first one measures and writes.

    Raises:
        OutputError: another process is writing to that place.
        DrrError: the streams do not decode to the same codes; nothing is written then.
    """
    processes = processes or Ranks()
    options = plan.options
    # first, or another's work or this one's is in vain
    with processes.holding(_lock(options.output, options.shard_bytes)):
        return _encode(plan, heard(report), processes)


def _encode(plan: EncodePlan, report: Report, processes: Ranks) -> Path:
    source, options = plan.source, plan.options
    fitted, log = shared_codecs(plan, report, processes)
    quality = plan.models.quality
    codecs = with_quality(fitted, quality)
    if options.shard_bytes is not None:
        check_models(possible_models(codecs, plan), options.shard_bytes)
    with kept_beside(plan.left.parts, len(divide(source)), processes) as kept:
        work = Work(source, kept, processes, report)
        codes = work.encode(codecs)
        taken, sizes = of_smallest_file(codecs, codes, plan, report, processes)
        codec, chunks = work.compress(taken, codes)
        if processes.first:
            report(Step("figures", 0, 1))
            measured = {**_measured(plan, log, codec, codes), "entropy_bytes": sizes}
            notes = {**_origin(plan, log), "quality": quality, "figures": measured}
            by_class, spool = work.by_class(codes), Spool(plan.left.parts.parent)
            raw = raw_exemplars(source, _raw_choice(plan), by_class, codec.vqvae, spool)
            models = stored(codec, options)
            content = Memory(source.image_size, [*source.classes], chunks, *models, notes, raw)
            _write(options, content, by_class)
            originals.remember(source)
            shutil.rmtree(plan.left.checkpoints, ignore_errors=True)
    return options.output


def _write(options: EncodeOptions, content: Memory, codes: Sequence[Codes]) -> None:
    output, limit = options.output, options.shard_bytes
    if limit is None:
        container.write(output, content, overwrite=options.force)
    else:
        write_shards(output, divided(output, content, codes, limit), overwrite=options.force)


def _measured(plan: EncodePlan, log: Json, codec: Codec, codes: Sequence[Codes]) -> Json:
    seen = metadata.fitted_on(log, plan.source.digest(), plan.source.classes)
    if plan.options.shard_bytes is not None:  # each file has reference bits of its own codes
        return figures.quality(plan.source, codec, seen)
    return figures.measure(plan.source, codec, codes, seen)


def _raw_choice(plan: EncodePlan) -> RawChoice:
    """Which raw exemplars the file keeps: some of every class."""
    options, numbers = plan.options, range(len(plan.source.classes))
    every = dict(zip(numbers, numbers, strict=True))
    return RawChoice(options.raw_per_class, options.raw_select, options.seed, every)


def _lock(output: Path, shard_bytes: int | None) -> AbstractContextManager[None]:
    """Keeps other runs from writing there."""
    return replacing(output) if shard_bytes is None else replacing_shards(output)


def _origin(plan: EncodePlan, log: Json) -> Json:
    """The record of the source, by which its originals and test split can be found again."""
    options = plan.options
    kept = [originals.record(plan.source)]
    raw = {"per_class": options.raw_per_class, "select": options.raw_select}
    names = [plan.source.classes[number] for number in plan.class_order]
    return {
        "sources": kept,
        "fit": log,
        **({"raw": raw} if options.raw_per_class else {}),
        **({} if options.class_order is None else {"class_order": names}),
    }
