"""What memories of some images take and give: in each quality, with and without their models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from drrpack.core.codec import Codec, Pixels, prices_of, with_quality
from drrpack.core.codes import Codes
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY
from drrpack.core.section import Section
from drrpack.formats import shipped
from drrpack.formats.memory import decoder_alone, entropy_section, model_bytes, sections
from drrpack.trainers.comparison.choices import WHOLE, Choice
from drrpack.trainers.comparison.peers import Setting
from drrpack.trainers.comparison.quality import psnr_db, ssim
from drrpack.trainers.fitting.choice import expected_bytes, stream_bytes

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
    own = next((c.quality for c in codecs if c.quality is not None), DEFAULT_QUALITY)
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
    start = time.perf_counter()
    codes = codecs[0].encode(images)
    choosing = time.perf_counter() - start
    candidates = made_of(codecs, codes, counts)
    payloads = [stream_bytes(codec, codes, counts) for codec in candidates]
    decoded = codecs[0].decode(codes, images.shape[1:3])
    judged = psnr_db(images, decoded), ssim(images, decoded)
    kinds = {
        WHOLE: _Kept(lambda vqvae: vqvae, lambda model: model),
        "DRR decoder-only": _Kept(decoder_alone, lambda model: model),
    }
    if shipped.known(sections(codecs[0])[0]):  # what drrpack does not ship can't be left out
        kinds["DRR thin"] = _Kept(shipped.thin, shipped.as_thin_as_can_be)
    found, container = list[Choice](), CONTAINER_BYTES + len(counts) * CLASS_BYTES
    for name, kept in kinds.items():
        sizes = [p + kept.model_bytes(c) for p, c in zip(payloads, candidates, strict=True)]
        smallest = sizes.index(min(sizes))
        codec, payload = candidates[smallest], payloads[smallest]
        coding, decoding = _seconds(codec, codes, images.shape[1:3])
        rates = len(images) / (choosing + coding), len(images) / decoding
        options: dict[str, Setting] = {"quality": quality, "entropy_model": codec.entropy.kind}
        found.append(
            Choice(
                name, f"q{quality}", payload / sum(counts), kept.bytes(codec) + container, *judged,
                *rates, options=options,
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True)
class _Kept:
    """What a kind of file holds of a VQ-VAE and of an entropy model."""

    vqvae: Callable[[Section], Section]
    entropy_model: Callable[[Section], Section]

    def model_bytes(self, codec: Codec) -> int:
        """Those of the entropy model."""
        return model_bytes(self.entropy_model(entropy_section(codec)))

    def bytes(self, codec: Codec) -> int:
        """Those of both."""
        return model_bytes(self.vqvae(sections(codec)[0])) + self.model_bytes(codec)


def _seconds(codec: Codec, codes: Codes, size: tuple[int, ...]) -> tuple[float, float]:
    """How long it takes to price the codes, as coding does, and to make pixels of them."""
    start = time.perf_counter()
    expected_bytes(codec, codes)
    priced = time.perf_counter()
    codec.decode(codes, (size[0], size[1]))
    return priced - start, time.perf_counter() - priced
