"""All images of a file coded again by other entropy models than the file's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.entropy.adapted import AdaptedModel
from drrpack.core.entropy.table import TableModel
from drrpack.formats import metadata, shipped
from drrpack.formats.container import Memory
from drrpack.formats.files.spool import Spool
from drrpack.formats.hdf5.build import build_image
from drrpack.formats.hdf5.image import Image
from drrpack.operations import figures
from drrpack.operations.append_plan import AppendPlan
from drrpack.operations.entropy_models import chosen_anew
from drrpack.operations.progress import Report
from drrpack.operations.recode import coded
from drrpack.trainers.fitting.entropy import tune_entropy
from drrpack.trainers.fitting.estimate import spread
from drrpack.trainers.fitting.loop import checkpoint_folder
from drrpack.trainers.fitting.plan import FitPlan

TUNED_ON = 200_000  # images at most, of a larger file some of all classes


@dataclass(frozen=True)
class Candidate:
    """A file that could be written."""

    image: Image  # of the file
    entropy_model: str  # its kind
    tuned: bool = False


def other_models(
    plan: AppendPlan, content: Memory, every: Sequence[Codes], spool: Spool, report: Report
) -> Iterator[Candidate]:
    """Files of ``content`` with ``every`` code, by other models than the file's own.

    That is its entropy model fine-tuned (paper, section 4). What was made of the old codes is made
    anew of all codes, and gives way to another model if that makes the smaller file now.
    """
    start = plan.codec
    if start.entropy.kind in (TableModel.kind, AdaptedModel.kind):
        thin = content.vqvae.version == shipped.VERSION
        start = chosen_anew([start], every, thin=thin, report=report)
        made = _measured(coded(content, start, every, spool), every)
        yield Candidate(build_image(plan.options.memory, made), start.entropy.kind)
    if start.entropy.kind != TableModel.kind:
        made = _tuned(plan, start, content, every, spool, report)
        yield Candidate(build_image(plan.options.memory, made), start.entropy.kind, tuned=True)


def _tuned(
    plan: AppendPlan, codec: Codec, content: Memory, every: Sequence[Codes], spool: Spool,
    report: Report,
) -> Memory:  # fmt: skip
    """Code all images with the entropy model of ``codec``, fine-tuned on all codes."""
    options = plan.options
    fit_plan = FitPlan(plan.budget, options.device, options.seed, checkpoints=plan.left.checkpoints)
    with checkpoint_folder(plan.left.checkpoints):
        seen = spread(every, TUNED_ON)
        entropy, log = tune_entropy(codec.entropy, seen, fit_plan, report)
    tuned = replace(codec, entropy=entropy.on(options.device, codec.pixels.carrier))
    made = _measured(coded(content, tuned, every, spool), every)
    fit = {**metadata.part(made.metadata, "fit"), "tuned": log}
    return replace(made, metadata={**made.metadata, "fit": fit})


def _measured(made: Memory, every: Sequence[Codes]) -> Memory:
    """The memory with what order-0 coding and lzma take for these codes."""
    known = metadata.part(made.metadata, "figures")
    measured = {**known, "reference_bits": figures.references(every)}
    return replace(made, metadata={**made.metadata, "figures": measured})
