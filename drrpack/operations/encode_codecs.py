"""The codec of ``encode``: fitted or taken, at some quality, and the one that makes the smallest
file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch

from drrpack.core.codec import Codec, assemble
from drrpack.core.codes import Codes
from drrpack.core.entropy.adapted import AdaptedModel
from drrpack.core.entropy.sections import unpack_entropy
from drrpack.core.entropy.table import TableModel
from drrpack.core.frequencies import tables_to_bytes
from drrpack.core.progress import Step
from drrpack.core.section import Section
from drrpack.core.weights import unpack_vqvae
from drrpack.formats import memory, shipped
from drrpack.formats.layout import Json
from drrpack.operations import entropy_models, figures
from drrpack.operations.encode_plan import EncodePlan
from drrpack.operations.encoding.options import EncodeOptions
from drrpack.operations.entropy_models import LEAST_CODES, with_adapted, with_table
from drrpack.operations.progress import EntropyChoice, Report
from drrpack.trainers.fitting.codec import fit_codec, fit_decoder
from drrpack.trainers.fitting.loop import checkpoint_folder
from drrpack.trainers.fitting.plan import FitPlan
from drrpack.trainers.fitting.presets import PRESETS
from drrpack.trainers.ranks import ALONE, Ranks


def obtain_codecs(
    plan: EncodePlan, report: Report, processes: Ranks = ALONE
) -> tuple[list[Codec], Json]:
    """The codecs to choose from, all with one VQ-VAE, and how they were fitted.

    Several ``processes`` fit together, and the first one keeps checkpoints.
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
        options.budget, options.device, options.seed, start=taken,
        checkpoints=plan.left.checkpoints, quality=plan.models.quality, vqvae=plan.family.vqvae,
        processes=processes,
    ).in_batches(plan.family.batch)  # fmt: skip
    fit_plan = fit_plan if options.preset is None else fit_plan.by(PRESETS[options.preset])
    fit_plan = replace(fit_plan, entropy=plan.models.fitted)
    run = fit_decoder if options.fit == "decoder" else fit_codec
    with checkpoint_folder(plan.left.checkpoints) if processes.first else nullcontext():
        fitted, networks = run(images, fit_plan, report, labels)
    of: Json = {"source_digest": plan.source.digest(), "classes": plan.fit_classes}
    if options.class_order is not None:  # else they are the first ones
        of["names"] = [plan.source.classes[number] for number in plan.fitted]
    if options.preset is not None:
        of["preset"] = options.preset
    before = {"before": log} if log else {}
    return fitted, {**of, "device": options.device.type, "networks": networks, **before}


def shared_codecs(plan: EncodePlan, report: Report, processes: Ranks) -> tuple[list[Codec], Json]:
    """What `obtain_codecs` returns, for each of several processes, which fit together: all have the
    codecs of the first one."""
    if plan.options.fit == "no" or processes.size == 1:
        return obtain_codecs(plan, report)
    mine, log = obtain_codecs(plan, report, processes)
    models, log = processes.from_first(lambda: ([memory.sections(codec) for codec in mine], log))
    pairs = zip(mine, models, strict=True)
    return [_as_first(codec, *sections, plan.options.device) for codec, sections in pairs], log


def _as_first(mine: Codec, vqvae: Section, entropy: Section, device: torch.device) -> Codec:
    """The codec of the first process from its sections. By what it chooses codes may be none of
    them; every process has that, as no fit changes it."""
    codec = assemble(*unpack_vqvae(vqvae), *unpack_entropy(entropy), device)
    prices = codec.encoder.prices or mine.encoder.prices
    return replace(codec, encoder=replace(codec.encoder, prices=prices))


def of_smallest_file(
    codecs: list[Codec], codes: Sequence[Codes], plan: EncodePlan, report: Report, processes: Ranks
) -> tuple[Codec, dict[str, int]]:
    """The codec that makes the smallest file, and the bytes that each of several would take, by the
    kind of its entropy model, of which each is another.

    Among them are those of models that the plan makes of these codes.
    """
    models = plan.models
    if AdaptedModel.kind in models.made:
        least = LEAST_CODES if models.kept else 0
        codecs = with_adapted(codecs, codes, processes, report, least=least)
    if TableModel.kind in models.made:
        codecs = with_table(codecs, codes)
    codecs = models.allowed(codecs)
    if len(codecs) == 1:
        return codecs[0], {}
    report(Step("entropy models", 0, len(codecs)))
    taken, sizes = processes.from_first(
        lambda: entropy_models.smallest(codecs, codes, thin=plan.options.thin)
    )
    of_kinds = {codec.entropy.kind: size for codec, size in zip(codecs, sizes, strict=True)}
    report(EntropyChoice(codecs[taken].entropy.kind, of_kinds))
    return codecs[taken], of_kinds


def possible_models(codecs: Sequence[Codec], plan: EncodePlan) -> list[tuple[Section, Section]]:
    """The models that a file may hold, as far as they are known before the codes.

    A table is not, but its size is. An adapted model takes more than the one below it.
    """
    models, options = plan.models, plan.options
    known = models.allowed(codecs) or codecs
    made = [stored(codec, options) for codec in known]
    if TableModel.kind in models.made:
        table = tables_to_bytes(codecs[0].entropy.tables)
        made.append((made[0][0], Section(TableModel.versions[-1], {}, table)))
    return made


def stored(codec: Codec, options: EncodeOptions) -> tuple[Section, Section]:
    """The models as the file holds them."""
    vqvae, entropy_model = memory.sections(codec)
    if options.thin:
        return shipped.thin(vqvae), shipped.as_thin_as_can_be(entropy_model)
    return (memory.decoder_alone(vqvae) if options.decoder_only else vqvae), entropy_model
