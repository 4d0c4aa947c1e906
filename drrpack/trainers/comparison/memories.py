"""What memories of some images take and give: in each quality, with and without their models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from drrpack.core.arrays import Pixels
from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.pricing import prices_of, with_quality
from drrpack.core.quality import psnr_db, ssim
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY
from drrpack.core.section import Section
from drrpack.formats import shipped
from drrpack.formats.memory import decoder_alone, entropy_section, model_bytes, sections
from drrpack.trainers.comparison.choices import WHOLE, Choice
from drrpack.trainers.comparison.peers import Setting
from drrpack.trainers.fitting.estimate import stream_bytes

T = TypeVar("T")

QUALITIES = (100, 75, 50)
# As `drrpack.encode` writes it: HDF5, digests, the seal and notes; see docs/format.md.
CONTAINER_BYTES = 5100
CLASS_BYTES = 65  # a row of the index, and its name in the file and in the notes
# Codecs, codes that one of them made, and how many images each class has in all -> these codecs and
# others, whose entropy models are made of these codes.
MadeOf = Callable[[Sequence[Codec], Codes, Sequence[int]], Sequence[Codec]]


def memories(
    codecs: Sequence[Codec], images: Pixels, counts: Sequence[int], made_of: MadeOf
) -> list[Choice]:
    """The quality of the memory first, or the default one, and the whole file before others of
    it."""
    choosing = prices_of(codecs) is not None
    own = next((q for c in codecs if (q := c.encoder.quality) is not None), DEFAULT_QUALITY)
    qualities = [own, *(q for q in QUALITIES if q != own)]
    made = []
    for quality in qualities if choosing else [BEST]:
        found = _memory(with_quality(codecs, quality), quality, images, counts, made_of)
        made += [replace(choice, read_together=sum(counts) / len(counts)) for choice in found]
    return made


def _memory(
    codecs: Sequence[Codec], quality: int, images: Pixels, counts: Sequence[int], made_of: MadeOf
) -> list[Choice]:
    """Files of so many images in each class, each kind of file with the entropy model that makes it
    the smallest."""
    codes, choosing = _timed(lambda: codecs[0].encode(images))
    decoded, decoding = _timed(lambda: codecs[0].decode(codes, images.shape[1:3]))
    judged = psnr_db(images, decoded), ssim(images, decoded)
    candidates = [
        (codec, *_timed(partial(stream_bytes, codec, codes, counts)))
        for codec in made_of(codecs, codes, counts)
    ]
    vqvae = sections(codecs[0])[0]
    kinds: dict[str, tuple[Section, Callable[[Section], Section]]] = {
        WHOLE: (vqvae, lambda model: model),
        "DRR decoder-only": (decoder_alone(vqvae), lambda model: model),
    }
    if shipped.known(vqvae):  # what drrpack does not ship can't be left out
        kinds["DRR thin"] = shipped.thin(vqvae), shipped.as_thin_as_can_be
    found, container = list[Choice](), CONTAINER_BYTES + len(counts) * CLASS_BYTES
    for name, (kept_vqvae, kept) in kinds.items():
        sizes = [model_bytes(kept(entropy_section(codec))) for codec, _, _ in candidates]
        totals = [payload + size for (_, payload, _), size in zip(candidates, sizes, strict=True)]
        smallest = totals.index(min(totals))
        codec, payload, coding = candidates[smallest]
        options: dict[str, Setting] = {"quality": quality, "entropy_model": codec.entropy.kind}
        found.append(
            Choice(
                name, f"q{quality}", payload / sum(counts),
                model_bytes(kept_vqvae) + sizes[smallest] + container, *judged,
                len(images) / (choosing + coding), len(images) / decoding, options=options,
            )
        )  # fmt: skip
    return found


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What ``work`` gives, and the seconds that it takes: to price codes takes what coding does."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start
