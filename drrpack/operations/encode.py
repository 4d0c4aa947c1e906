"""Labelled pictures -> ``mem.drr``: the work of ``drrpack encode``, from source to checked file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from drrpack.core.codec import Codec, lay_out, prices_of, with_quality
from drrpack.core.codes import Codes
from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError
from drrpack.core.families import DEFAULT, FAMILIES
from drrpack.core.progress import Step
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY
from drrpack.core.section import Section
from drrpack.core.settings import float_arithmetic
from drrpack.formats import container, memory, originals, shipped
from drrpack.formats.account import Stats
from drrpack.formats.container import Memory
from drrpack.formats.files.publish import replacing
from drrpack.formats.layout import Json
from drrpack.formats.sources.reading import Reading
from drrpack.formats.sources.source import Given, LabelledDataset, Source
from drrpack.operations import figures
from drrpack.operations.encode_plan import (
    DEFAULT_MINUTES,
    EncodeOptions,
    EncodePlan,
    Entropy,
    Fit,
    plan_encode,
)
from drrpack.operations.pictures import Pictures, RawChoice, encode_pictures
from drrpack.operations.preparing import (
    Pathlike,
    budget,
    downloaded,
    names_of,
    tell_of,
    tell_of_labels,
    tidy,
)
from drrpack.operations.progress import Choice, Report, heard
from drrpack.operations.stats import stats
from drrpack.trainers.fitting import choice as entropy_choice
from drrpack.trainers.fitting.codec import fit_codec, fit_decoder
from drrpack.trainers.fitting.loop import Budget, checkpoint_folder
from drrpack.trainers.fitting.plan import FitPlan
from drrpack.trainers.incremental.exemplars import Selection


def encode(
    source: Given,
    output: Pathlike,
    *,
    size: int | None = None,
    depth: int | None = None,
    value_range: tuple[float, float] | None = None,
    max_megapixels: float | None = None,
    fit_classes: int | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    codec: Pathlike | None = None,
    fit: Fit = "no",
    family: str | None = None,
    entropy: Entropy = "auto",
    quality: int | None = None,
    raw_per_class: int = 0,
    raw_select: Selection = "herding",
    decoder_only: bool = False,
    thin: bool = False,
    device: str = "auto",
    seed: int = 0,
    download: str | None = None,
    skip_bad: bool = False,
    force: bool = False,
    class_names: Sequence[str] | None = None,
    test: LabelledDataset | None = None,
    report: Report | None = None,
) -> Stats:
    """Turn labelled pictures into a ``.drr`` file; returns the account of its bytes.

    Pictures become RGB with 8 bits a channel; transparency is dropped, not blended. After an
    interruption the same call continues the fit.

    Args:
        source: an image folder, a folder with ``train/`` and ``test/``, a CIFAR folder,
            ``"digits"``, or a dataset of ``(image, label)``; see
            `drrpack.formats.sources.source.open_source`.
        output: the file to write; ``force`` overwrites an existing file.
        size: resize every image to ``size`` x ``size`` pixels.
        depth, value_range: bit depth, or the values of black and white, of greyscale pictures with
            more than 8 bits.
        max_megapixels: refuse pictures of more megapixels than this; by default 89.
        fit: ``"scratch"`` fits a new codec, ``"finetune"`` continues to fit the existing codec, and
            ``"decoder"`` only its decoder. ``"no"`` uses the codec as it is.
        family: of the codec that is fitted from scratch: ``"small"`` (the default), meant for
            images of up to 48 pixels a side, ``"medium"`` for up to 128, or another one of
            `drrpack.core.families`.
        fit_classes: fit on this many classes, the first ones; by default on half of the classes.
        epochs, minutes: how long to fit; ``epochs`` counts for each network, ``minutes`` for all.
        codec: the ``.drr`` file whose codec to use instead of the one that comes with drrpack.
        entropy: ``"bitswap"``, ``"context"``, or ``"auto"`` for the one that makes the smaller
            file.
        quality: rate/distortion trade-off, 0 to 100; 100 always takes the nearest code. By default
            that of ``codec``, or 75.
        raw_per_class, raw_select: also keep this many raw images of each class, chosen by
            ``"herding"`` (they represent the mean of the class) or at ``"random"``.
        decoder_only: leave the VQ-VAE's encoder out: the file is smaller, but nothing can be
            appended to it.
        thin: leave out models that come with drrpack.
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
    report, output = heard(report), Path(output)
    place = choose_device(device)
    tidy(output, report)
    spent = _budget(epochs, minutes, fit, place.type)
    with replacing(output):  # before pictures are fetched and read, which may take long
        if download is not None:
            source = downloaded(download, source)
        plan = plan_encode(
            EncodeOptions(
                source, output, place, spent, Reading(size, depth, value_range, max_megapixels),
                skip_bad=skip_bad, force=force, fit_classes=fit_classes,
                codec=None if codec is None else Path(codec), fit=fit, family=family,
                entropy=entropy, quality=quality, seed=seed, raw_per_class=raw_per_class,
                raw_select=raw_select, decoder_only=decoder_only, thin=thin,
                class_names=names_of(class_names), test=test,
            )
        )  # fmt: skip
        report(plan)
        tell_of(plan.source, report)
        tell_of_labels(plan.source, report)
        carry_out(plan, report)
    return stats(output)


def _budget(epochs: int | None, minutes: float | None, fit: Fit, device: str) -> Budget:
    if fit == "no" and (epochs is not None or minutes is not None):
        raise OptionError(
            "`epochs` and `minutes` have no meaning unless something is fitted: see `fit`",
            option="epochs" if epochs is not None else "minutes",
        )
    return budget(epochs, minutes, DEFAULT_MINUTES[device])


@float_arithmetic()
def carry_out(plan: EncodePlan, report: Report | None = None) -> Path:
    """Carry out ``plan``: fit or load the codec, encode, check, measure, write. Returns the path.

    Raises:
        OutputError: another process is writing to that place.
        DrrError: the streams do not decode to the same codes; nothing is written then.
    """
    with replacing(plan.options.output):  # first, or another's work or this one's is in vain
        return _encode(plan, heard(report))


def _encode(plan: EncodePlan, report: Report) -> Path:
    source, options, pictures = plan.source, plan.options, Pictures(plan.source)
    candidates, log = obtain_codecs(plan, report, pictures)
    quality = _quality(candidates, options)
    candidates = _wanted(with_quality(candidates, quality), options)
    seen = _seen_classes(log, source)
    rows = figures.held_out_rows(source, seen)
    encoded = encode_pictures(pictures, candidates[0], _raw_choice(plan), rows, report)
    codec, sizes = _smallest(candidates, encoded.codes, options, report)
    report(Step("streams", 0, len(encoded.codes)))
    codec, streams = lay_out(codec, encoded.codes)
    report(Step("figures", 0, 1))
    measured = figures.measure(source, codec, encoded.codes, seen, encoded.held_out)
    vqvae, entropy_model = _stored(codec, options)
    content = Memory(
        image_size=source.image_size,
        classes=list(source.classes),
        chunks=[memory.chunk(number, made) for number, made in enumerate(streams)],
        vqvae=vqvae,
        entropy_model=entropy_model,
        metadata={
            **_origin(plan, log),
            "quality": quality,
            "figures": {**measured, "entropy_bytes": sizes},
        },
        raw=encoded.raw,
    )
    container.write(options.output, content, overwrite=options.force)
    originals.remember(source)
    shutil.rmtree(plan.checkpoints, ignore_errors=True)
    return options.output


def _raw_choice(plan: EncodePlan) -> RawChoice:
    """Which raw exemplars the file keeps: some of every class."""
    options, numbers = plan.options, range(len(plan.source.classes))
    every = dict(zip(numbers, numbers, strict=True))
    return RawChoice(options.raw_per_class, options.raw_select, options.seed, every)


def _stored(codec: Codec, options: EncodeOptions) -> tuple[Section, Section]:
    """The models as the file holds them."""
    vqvae, entropy_model = memory.sections(codec)
    if options.thin:
        return shipped.thin(vqvae), shipped.thin(entropy_model)
    return (memory.decoder_alone(vqvae) if options.decoder_only else vqvae), entropy_model


def obtain_codecs(
    plan: EncodePlan, report: Report, pictures: Pictures, *, every: bool = False
) -> tuple[list[Codec], Json]:
    """The codecs to choose from, all with one VQ-VAE, and how they were fitted.

    A context model may choose the codes. A Bit-Swap that was fitted beside it is left out then,
    because its file would lack the model that chooses the codes of appended images.
    ``every`` fits Bit-Swap, too.
    """
    options = plan.options
    taken, log = list(plan.taken.codecs), plan.taken.fit
    if options.fit == "no":
        return taken, log
    counts = plan.source.images_per_class[: plan.fit_classes]
    labels = np.repeat(np.arange(plan.fit_classes), counts)
    seen = ~figures.kept_back(len(labels), plan.source, plan.fit_classes)
    images, labels = pictures.together(plan.fit_classes)[seen], labels[seen]
    fit_plan = FitPlan(
        options.budget, options.device, options.seed, start=taken, checkpoints=plan.checkpoints,
        quality=_wanted_quality(taken, options), vqvae=FAMILIES[options.family or DEFAULT].vqvae,
    )  # fmt: skip
    of_kind = [c for c in fit_plan.entropy if options.entropy in ("auto", c.kind)]
    choosing = [c for c in of_kind if c.kind == "context"]
    if choosing and fit_plan.quality < BEST and not every:
        of_kind = choosing
    run = fit_decoder if options.fit == "decoder" else fit_codec
    with checkpoint_folder(plan.checkpoints):
        fitted, networks = run(images, replace(fit_plan, entropy=of_kind), report, labels)
    of = {"source_digest": plan.source.digest(), "classes": plan.fit_classes}
    before = {"before": log} if log else {}
    fitted = [replace(codec, quality=fit_plan.quality) for codec in fitted]
    return fitted, {**of, "device": options.device.type, "networks": networks, **before}


def _quality(codecs: Sequence[Codec], options: EncodeOptions) -> int:
    """The quality by which codes are chosen; by default 100 if no model can choose codes."""
    if options.quality is None and prices_of(codecs) is None:
        return BEST
    return _wanted_quality(codecs, options)


def _wanted_quality(codecs: Sequence[Codec], options: EncodeOptions) -> int:
    """The quality of the option, or else of the codec's file, or else the default."""
    kept = [codec.quality for codec in codecs if codec.quality is not None]
    return options.quality if options.quality is not None else [*kept, DEFAULT_QUALITY][0]


def _wanted(codecs: list[Codec], options: EncodeOptions) -> list[Codec]:
    return [c for c in codecs if options.entropy in ("auto", c.entropy.kind)]


def _smallest(
    codecs: list[Codec], codes: list[Codes], options: EncodeOptions, report: Report
) -> tuple[Codec, dict[str, int]]:
    """The codec that makes the smallest file, and the bytes that each of several would take."""
    if len(codecs) == 1:
        return codecs[0], {}
    report(Step("entropy models", 0, len(codecs)))

    def model_bytes(codec: Codec) -> int:
        return len(_stored(codec, options)[1].data)

    images = sum(len(of_class) for of_class in codes)
    sample = entropy_choice.spread(codes)
    codec, sizes = entropy_choice.smallest(codecs, sample, images, model_bytes)
    report(Choice(codec.entropy.kind, sizes))
    return codec, sizes


def _seen_classes(log: Json, source: Source) -> int:
    """How many of the source's classes the codec was fitted on; these are the first ones."""
    return int(log.get("classes", 0)) if log.get("source_digest") == source.digest() else 0


def _origin(plan: EncodePlan, log: Json) -> Json:
    """The record of the source, by which its originals and test split can be found again."""
    options = plan.options
    kept = [originals.record(plan.source)]
    raw = {"per_class": options.raw_per_class, "select": options.raw_select}
    return {"sources": kept, "fit": log, **({"raw": raw} if options.raw_per_class else {})}
