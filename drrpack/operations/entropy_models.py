"""Which entropy models could code some codes, and which of them makes the smallest file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.entropy.adapted import AdaptedModel
from drrpack.core.entropy.context import ContextModel
from drrpack.core.entropy.sections import pack_entropy, unpack_entropy
from drrpack.core.entropy.table import TableModel
from drrpack.core.frequencies import tables_of_all
from drrpack.core.progress import Step
from drrpack.core.section import Section
from drrpack.formats import memory, shipped
from drrpack.formats.encoder import can_choose
from drrpack.operations.progress import Report
from drrpack.trainers.fitting import estimate
from drrpack.trainers.fitting.adapt import CODES, adapt
from drrpack.trainers.ranks import ALONE, Ranks

SEEN_WEIGHT = 16  # of a code that occurs: a table codes the codes that it is made of
LEAST_CODES = 20_000  # a correction takes two kilobytes or six: for fewer codes, a bit for each
COMPARED = 256  # images, to see which of the two pays
MANY_CODES = 800_000  # four kilobytes are next to nothing beside so many


def with_adapted(
    codecs: Sequence[Codec], codes: Sequence[Codes], processes: Ranks = ALONE,
    report: Report | None = None, *, least: int = LEAST_CODES, images: Sequence[int] | None = None,
) -> list[Codec]:  # fmt: skip
    """The codecs, and one whose context model is adapted to ``codes``, of which some are looked at.

    It is left out if there are fewer than ``least`` codes, or no context model. Several
    ``processes`` have the same one. It takes the place of one that was adapted to other codes.
    ``images`` are those of each stream, where ``codes`` are those of some of them.
    """
    found = [codec for codec in codecs if isinstance(codec.entropy, ContextModel)]
    seen = sum(map(len, codes))
    images = [len(part) for part in codes] if images is None else images
    total = sum(part.flat.size for part in codes) * sum(images) // max(1, seen)
    if not found or not total or total < least:
        return [*codecs]
    section = processes.from_first(lambda: _adapted(found[0], codes, images, total, report))
    entropy = unpack_entropy(section)[0].on(found[0].device, found[0].pixels.carrier)
    others = [codec for codec in codecs if codec.entropy.kind != AdaptedModel.kind]
    return [*others, replace(found[0], entropy=entropy)]


def _adapted(
    codec: Codec, codes: Sequence[Codes], images: Sequence[int], total: int, report: Report | None
) -> Section:
    """The smaller of two adapted models: with a correction of the last two layers, or of one.

    ``images`` are those of each stream, which have ``total`` codes together.
    """
    assert isinstance(codec.entropy, ContextModel)
    bottom_codes = total * 4 // 5 // sum(images)  # of an image
    sample = estimate.spread(codes, max(1, CODES // max(1, bottom_codes)))
    compared = estimate.spread([sample], COMPARED)
    tables = tables_of_all(codes, codec.entropy.codebook_size)
    ways = (False, True) if total < MANY_CODES else (False,)
    sections, sizes = list[Section](), list[int]()
    for number, alone in enumerate(ways):
        tick = None if report is None else _telling(report, number, len(ways))
        model = adapt(codec.entropy, sample, tables, offsets_alone=alone, tick=tick)
        sections.append(pack_entropy(model, codec.layouts))
        ready = replace(codec, entropy=model.on(codec.device, codec.pixels.carrier))
        streams = estimate.stream_bytes(ready, compared, images)
        sizes.append(len(sections[-1].data) + streams)
    return sections[sizes.index(min(sizes))]


def _telling(report: Report, number: int, count: int) -> Callable[[float], None]:
    return lambda done: report(Step("adapting", round(100 * (number + done) / count), 100))


def with_table(codecs: Sequence[Codec], codes: Sequence[Codes]) -> list[Codec]:
    """The codecs, and one that codes by how often each of these ``codes`` occurs.

    A table is left out if nothing could choose the codes of images that are added later. One that
    was made for other codes gives way to it.
    """
    if not can_choose(codecs[0].encoder):
        return [*codecs]
    size = codecs[0].entropy.codebook_size
    table = TableModel(tables_of_all(codes, size, weight=SEEN_WEIGHT))
    networks = [codec for codec in codecs if codec.entropy.kind != TableModel.kind]
    return [*networks, replace(codecs[0], entropy=table)]


def shipped_beside(codec: Codec) -> list[Codec]:
    """``codec`` with each entropy model that comes with drrpack for its codebooks."""
    models = [unpack_entropy(section) for _, section in shipped.with_codebooks(codec.vqvae)]
    return [
        replace(codec, entropy=model.on(codec.device, codec.pixels.carrier), layouts=layouts)
        for model, layouts in models
    ]


def chosen_anew(
    codecs: Sequence[Codec], codes: Sequence[Codes], *, thin: bool, report: Report | None = None
) -> Codec:
    """The codec that makes the smallest file of ``codes``.

    It is one of some ``codecs`` of one VQ-VAE, one of a model that comes with drrpack for its
    codebooks, or one of a model that is made of these codes.
    """
    every = [*codecs, *shipped_beside(codecs[0])]
    known = {shipped.key(memory.entropy_section(codec)): codec for codec in every}
    candidates = with_table(with_adapted([*known.values()], codes, report=report), codes)
    return candidates[smallest(candidates, codes, thin=thin)[0]]


def smallest(
    codecs: Sequence[Codec], codes: Sequence[Codes], *, thin: bool
) -> tuple[int, list[int]]:
    """Which of some codecs makes the smallest file of ``codes``, and the bytes of each.

    They are those of streams and entropy model. With ``thin`` a model that comes with drrpack takes
    none.
    """

    def model_bytes(codec: Codec) -> int:
        section = memory.entropy_section(codec)
        return memory.model_bytes(shipped.as_thin_as_can_be(section) if thin else section)

    images = [len(part) for part in codes]
    sizes = estimate.sizes(codecs, estimate.spread(codes), images, model_bytes)
    return sizes.index(min(sizes)), sizes
