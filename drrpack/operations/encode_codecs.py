"""The codec of ``encode``: fitted or taken, at some quality, and the one that makes the smallest
file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from drrpack.core.codec import Codec, assemble, prices_of
from drrpack.core.codes import Codes
from drrpack.core.entropy.adapted import AdaptedModel
from drrpack.core.entropy.sections import unpack_entropy
from drrpack.core.entropy.table import TableModel
from drrpack.core.errors import OptionError
from drrpack.core.frequencies import tables_to_bytes
from drrpack.core.progress import Step
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY
from drrpack.core.section import Section
from drrpack.core.weights import unpack_vqvae
from drrpack.formats import memory, shipped
from drrpack.formats.encoder import can_choose
from drrpack.formats.layout import Json
from drrpack.operations import entropy_models, figures
from drrpack.operations.encode_plan import EncodePlan
from drrpack.operations.encoding.options import EncodeOptions
from drrpack.operations.entropy_models import LEAST_CODES, with_adapted, with_table
from drrpack.operations.progress import Choice, Report
from drrpack.trainers.fitting.codec import fit_codec, fit_decoder
from drrpack.trainers.fitting.loop import checkpoint_folder
from drrpack.trainers.fitting.plan import FitPlan
from drrpack.trainers.fitting.presets import PRESETS
from drrpack.trainers.ranks import ALONE, Ranks


def obtain_codecs(
    plan: EncodePlan, report: Report, processes: Ranks = ALONE, *, every: bool = False
) -> tuple[list[Codec], Json]:
    """The codecs to choose from, all with one VQ-VAE, and how they were fitted.

    A context model may choose the codes. A Bit-Swap that was fitted beside it is left out then,
    because its file would lack the model that chooses the codes of appended images.
    ``every`` fits Bit-Swap, too. Several ``processes`` fit together, and the first one keeps
    checkpoints.
    """
    options = plan.options
    taken, log = list(plan.taken.codecs), plan.taken.fit
    if options.fit == "no":
        return taken, log
    counts = [plan.source.images_per_class[number] for number in plan.fitted]
    labels = np.repeat(np.arange(plan.fit_classes), counts)
    seen = ~figures.kept_back(len(labels), plan.source, plan.fitted)
    images = np.concatenate([plan.source.load(number) for number in plan.fitted])
    images, labels = images[seen], labels[seen]
    fit_plan = FitPlan(
        options.budget, options.device, options.seed, start=taken, checkpoints=plan.checkpoints,
        quality=_fitted_quality(taken, options), vqvae=plan.family.vqvae, processes=processes,
    ).in_batches(plan.family.batch)  # fmt: skip
    fit_plan = fit_plan if options.preset is None else fit_plan.by(PRESETS[options.preset])
    of_kind = [c for c in fit_plan.entropy if options.entropy in ("auto", c.kind)]
    choosing = [c for c in of_kind if c.kind == "context"]
    if choosing and fit_plan.quality < BEST and not every:
        of_kind = choosing
    run = fit_decoder if options.fit == "decoder" else fit_codec
    with checkpoint_folder(plan.checkpoints) if processes.first else nullcontext():
        fitted, networks = run(images, replace(fit_plan, entropy=of_kind), report, labels)
    of: Json = {"source_digest": plan.source.digest(), "classes": plan.fit_classes}
    if options.class_order is not None:  # else they are the first ones
        of["names"] = [plan.source.classes[number] for number in plan.fitted]
    if options.preset is not None:
        of["preset"] = options.preset
    before = {"before": log} if log else {}
    fitted = [replace(codec, quality=fit_plan.quality) for codec in fitted]
    return fitted, {**of, "device": options.device.type, "networks": networks, **before}


def shared_codecs(plan: EncodePlan, report: Report, processes: Ranks) -> tuple[list[Codec], Json]:
    """What `obtain_codecs` returns, for each of several processes, which fit together: all have the
    codecs of the first one."""
    if plan.options.fit == "no" or processes.size == 1:
        return obtain_codecs(plan, report)
    mine, log = obtain_codecs(plan, report, processes)

    def fitted() -> tuple[list[tuple[Section, Section]], int | None, Json]:
        return [memory.sections(codec) for codec in mine], mine[0].quality, log

    models, quality, log = processes.from_first(fitted)
    device = plan.options.device
    codecs = [
        assemble(*unpack_vqvae(vqvae), *unpack_entropy(entropy), device)
        for vqvae, entropy in models
    ]
    return [replace(codec, quality=quality) for codec in codecs], log


def quality_of(codecs: Sequence[Codec], options: EncodeOptions) -> int:
    """The quality by which codes are chosen; by default 100 if no model can choose codes."""
    if options.quality is None and prices_of(codecs) is None:
        return BEST
    return _fitted_quality(codecs, options)


def _fitted_quality(codecs: Sequence[Codec], options: EncodeOptions) -> int:
    """The quality of the option, or else of the codec's file, or else the default."""
    kept = [codec.quality for codec in codecs if codec.quality is not None]
    return options.quality if options.quality is not None else [*kept, DEFAULT_QUALITY][0]


MADE_OF_CODES = (TableModel.kind, AdaptedModel.kind)  # entropy models, once codes are known


def wanted(codecs: list[Codec], options: EncodeOptions) -> list[Codec]:
    """Those whose entropy model is of the kind that the options ask for, or may become so."""
    return [c for c in codecs if options.entropy in ("auto", *MADE_OF_CODES, c.entropy.kind)]


def check_table(codecs: Sequence[Codec], options: EncodeOptions) -> None:
    """Raise OptionError if a table is asked for, and could not choose codes of this quality."""
    if options.entropy == TableModel.kind and not can_choose(codecs[0]):
        raise OptionError(
            f"`entropy='table'`: codes of quality {codecs[0].quality} are chosen by a context "
            "model, and the file would lack it when images are added; leave the option out, or say "
            f"`quality={BEST}`",
            option="entropy",
        )


def smallest(
    codecs: list[Codec], codes: Sequence[Codes], options: EncodeOptions, report: Report,
    processes: Ranks,
) -> tuple[Codec, dict[str, int]]:  # fmt: skip
    """The codec that makes the smallest file, and the bytes that each of several would take.

    Among them are models made of these codes, unless a codec was given or fitted: then its own
    entropy model is meant, which may have chosen the codes.
    """
    kind, every = options.entropy, _every(options)
    if every or kind == AdaptedModel.kind:
        least = LEAST_CODES if every else 0
        codecs = with_adapted(codecs, codes, processes, report, least=least)
    if every or kind == TableModel.kind:
        codecs = with_table(codecs, codes)
    codecs = [codec for codec in codecs if kind in ("auto", codec.entropy.kind)]
    if len(codecs) == 1:
        return codecs[0], {}
    report(Step("entropy models", 0, len(codecs)))
    taken, sizes = processes.from_first(
        lambda: entropy_models.smallest(codecs, codes, thin=options.thin)
    )
    report(Choice(codecs[taken].entropy.kind, sizes))
    return codecs[taken], sizes


def _every(options: EncodeOptions) -> bool:
    """Whether models of all kinds are to be tried."""
    return options.entropy == "auto" and options.codec is None and options.fit == "no"


def possible_models(
    codecs: Sequence[Codec], options: EncodeOptions
) -> list[tuple[Section, Section]]:
    """The models that a file may hold, as far as they are known before the codes.

    A table is not, but its size is.
    """
    made = [stored(codec, options) for codec in codecs]
    if _every(options) or options.entropy == TableModel.kind:
        table = tables_to_bytes(codecs[0].entropy.tables)
        made.append((made[0][0], Section(TableModel.versions[-1], {}, table)))
    return made


def stored(codec: Codec, options: EncodeOptions) -> tuple[Section, Section]:
    """The models as the file holds them."""
    vqvae, entropy_model = memory.sections(codec)
    if options.thin:
        return shipped.thin(vqvae), shipped.as_thin_as_can_be(entropy_model)
    return (memory.decoder_alone(vqvae) if options.decoder_only else vqvae), entropy_model
