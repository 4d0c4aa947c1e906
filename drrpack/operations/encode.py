"""Image folder -> ``mem.drr``: what ``drrpack encode`` does, from source to checked file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from drrpack.core.codec import Codec, lay_out, prices_of, with_quality
from drrpack.core.codes import Codes
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY
from drrpack.core.section import Section
from drrpack.core.settings import float_arithmetic
from drrpack.formats import container, memory, metadata, originals, shipped
from drrpack.formats.container import Memory, Reader
from drrpack.formats.files.publish import replacing
from drrpack.formats.sources.source import Source
from drrpack.operations import figures
from drrpack.operations.encode_plan import (
    Choice,
    EncodeOptions,
    Event,
    Plan,
    Report,
    Step,
    codec_files,
)
from drrpack.trainers.fitting import choice as entropy
from drrpack.trainers.fitting.codec import fit_codec, fit_decoder
from drrpack.trainers.fitting.loop import checkpoint_folder
from drrpack.trainers.fitting.plan import FitPlan
from drrpack.trainers.incremental import exemplars

Log = dict[str, Any]  # how the codec was fitted; goes into the file


def _silent(_: Event) -> None:
    pass


@float_arithmetic()
def encode(plan: Plan, report: Report = _silent) -> Path:
    """Carry out ``plan``: fit or load the codec, encode, check, measure, write. Returns the path.

    Raises:
        OutputError: another process is writing to that place.
        DrrError: what was coded does not decode to the same codes; nothing is written then.
    """
    with replacing(plan.options.output):  # first, or another's work or this one's is in vain
        return _encode(plan, report)


def _encode(plan: Plan, report: Report) -> Path:
    source, options = plan.source, plan.options
    candidates, log = obtain_codecs(plan, report)
    quality = _quality(candidates, options)
    candidates = _wanted(with_quality(candidates, quality), options)
    codes = encode_classes(source, candidates[0], report)
    codec, sizes = _smallest(candidates, codes, options, report)
    report(Step("streams", 0, len(codes)))
    codec, streams = lay_out(codec, codes)
    report(Step("figures", 0, 1))
    measured = figures.measure(source, codec, codes, _seen_classes(log, source))
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
        raw=exemplars.records(
            options.raw_select, options.raw_per_class, {n: n for n in range(len(codes))}, codes,
            source.load, codec.vqvae, options.seed,
        ),
    )  # fmt: skip
    container.write(options.output, content, overwrite=options.force)
    originals.remember(source)
    shutil.rmtree(plan.checkpoints, ignore_errors=True)
    return options.output


def _stored(codec: Codec, options: EncodeOptions) -> tuple[Section, Section]:
    """The models as the file holds them."""
    vqvae, entropy_model = memory.sections(codec)
    if options.thin:
        return shipped.thin(vqvae), shipped.thin(entropy_model)
    return (memory.decoder_alone(vqvae) if options.decoder_only else vqvae), entropy_model


def obtain_codecs(plan: Plan, report: Report, *, every: bool = False) -> tuple[list[Codec], Log]:
    """The codecs to choose from, all with one VQ-VAE, and how they were fitted.

    A Bit-Swap that is fitted beside the context model that chooses the codes is none of them: its
    file would lack what more images of this quality are encoded with. ``every`` fits it, too.
    """
    options = plan.options
    taken, log = _taken(options)
    if options.fit == "no":
        return taken, log
    classes = [plan.source.load(c) for c in range(plan.fit_classes)]
    labels = np.repeat(np.arange(len(classes)), [len(images) for images in classes])
    seen = ~figures.kept_back(len(labels), plan.source, plan.fit_classes)
    images, labels = np.concatenate(classes)[seen], labels[seen]
    fit_plan = FitPlan(
        options.budget, options.device, options.seed, start=taken, checkpoints=plan.checkpoints,
        quality=_wanted_quality(taken, options),
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


def _taken(options: EncodeOptions) -> tuple[list[Codec], Log]:
    """The codecs of files, none where one is fitted from scratch, and how they were fitted."""
    codecs, log = [], {}
    for path in codec_files(options):
        with Reader(path) as reader:
            codecs.append(memory.load_codec(reader, options.device, encoder=True))
            log = metadata.part(reader.metadata, "fit")
    return codecs, log


def _quality(codecs: Sequence[Codec], options: EncodeOptions) -> int:
    """By which the codes are chosen; the best without an option where nothing can choose."""
    if options.quality is None and prices_of(codecs) is None:
        return BEST
    return _wanted_quality(codecs, options)


def _wanted_quality(codecs: Sequence[Codec], options: EncodeOptions) -> int:
    """The one of the option, or else of the file whose codec is taken, or else the default."""
    kept = [codec.quality for codec in codecs if codec.quality is not None]
    return options.quality if options.quality is not None else [*kept, DEFAULT_QUALITY][0]


def _wanted(codecs: list[Codec], options: EncodeOptions) -> list[Codec]:
    return [c for c in codecs if options.entropy in ("auto", c.entropy.kind)]


def _smallest(
    codecs: list[Codec], codes: list[Codes], options: EncodeOptions, report: Report
) -> tuple[Codec, dict[str, int]]:
    """The codec that makes the smaller file, and what each of several would take."""
    if len(codecs) == 1:
        return codecs[0], {}
    report(Step("entropy models", 0, len(codecs)))

    def model_bytes(codec: Codec) -> int:
        return len(_stored(codec, options)[1].data)

    images = sum(len(of_class) for of_class in codes)
    codec, sizes = entropy.smallest(codecs, entropy.spread(codes), images, model_bytes)
    report(Choice(codec.entropy.kind, sizes))
    return codec, sizes


def _seen_classes(log: Log, source: Source) -> int:
    """How many of the source's classes the codec was fitted on: its first ones, or none."""
    return int(log.get("classes", 0)) if log.get("source_digest") == source.digest() else 0


def encode_classes(source: Source, codec: Codec, report: Report) -> list[Codes]:
    """The codes of each class of a source."""
    done, total, out = 0, sum(source.images_per_class), []
    for number in range(len(source.classes)):
        out.append(codec.encode(source.load(number)))
        done += len(out[-1])
        report(Step("codes", done, total))
    return out


def _origin(plan: Plan, log: Log) -> dict[str, Any]:
    """Where the images came from, so that the originals and the test split can be found again."""
    options = plan.options
    kept = [originals.record(plan.source)]
    raw = {"per_class": options.raw_per_class, "select": options.raw_select}
    return {"sources": kept, "fit": log, **({"raw": raw} if options.raw_per_class else {})}
