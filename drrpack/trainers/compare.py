"""What each way of keeping images costs and gives, on the user's own: ``drrpack compare``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from drrpack.codec import Codec, Pixels
from drrpack.errors import OptionError
from drrpack.formats.memory import decoder_alone, sections
from drrpack.formats.sources import Source
from drrpack.rdoq import BEST, DEFAULT_QUALITY, context_of, with_quality
from drrpack.trainers import peers
from drrpack.trainers.entropy import expected_bytes, smallest
from drrpack.trainers.peers import Packed
from drrpack.trainers.quality import psnr_db, ssim
from drrpack.trainers.results import versions

WHOLE = "DRR"  # the memory that holds all its models
QUALITIES = (100, 75, 50)  # of a memory
SAMPLE = 1000  # images to measure on, where they are small
CONTAINER_BYTES = 4000  # HDF5, digests and seal: see docs/format.md
CLASS_BYTES = 50  # a row of the index and a name
Report = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """One way to keep images: what it costs, and what comes back."""

    family: str  # "JPEG", "DRR", "DRR thin", ...
    setting: str  # "q20", ...
    image_bytes: float  # of one image
    fixed_bytes: int  # however many images there are: models and container
    psnr_db: float | None  # None: without loss
    ssim: float
    encoded_a_second: float | None  # images, on this machine
    decoded_a_second: float | None
    accuracy: float | None = None  # of a classifier trained on what comes back, in percent
    accuracy_std: float | None = None

    def bytes_an_image(self, images: int) -> float:
        """All told, where ``images`` are kept."""
        return self.image_bytes + self.fixed_bytes / max(1, images)

    @property
    def name(self) -> str:
        return f"{self.family} {self.setting}".strip()

    def to_json(self, images: int) -> dict[str, Any]:
        return {**vars(self), "bytes_an_image": self.bytes_an_image(images)}


@dataclass(frozen=True)
class Comparison:
    """All choices for a source of ``images`` images, measured on ``sample`` of them."""

    images: int
    sample: int
    image_size: tuple[int, int]
    choices: list[Choice]

    @property
    def memory(self) -> Choice:
        """The memory that holds all its models, of its own quality or the default one."""
        return self.of(WHOLE)[0]

    def of(self, family: str) -> list[Choice]:
        return [choice for choice in self.choices if choice.family == family]

    def rivals(self) -> list[str]:
        """The families of lossy files."""
        return [name for name in peers.LOSSY if self.of(name)]

    def to_json(self) -> dict[str, Any]:
        choices = [choice.to_json(self.images) for choice in self.choices]
        machine = {"threads": torch.get_num_threads(), "versions": versions()}
        return {**vars(self), "choices": choices, **machine}


def default_sample(size: tuple[int, int]) -> int:
    """How many images of ``size`` (H, W) to measure on: packing large ones takes seconds each."""
    return max(SAMPLE // 20, min(SAMPLE, SAMPLE * 64 * 64 // (size[0] * size[1])))


def spread_over_classes(source: Source, classes: Sequence[int], count: int) -> Pixels:
    """About ``count`` training images (n, H, W, 3) of some classes, evenly from each."""
    each = max(1, -(-count // len(classes)))
    parts = []
    for number in classes:
        images = source.load(number)
        parts.append(images[np.linspace(0, len(images) - 1, min(each, len(images))).astype(int)])
    return np.concatenate(parts)


def compare(
    source: Source, codecs: Sequence[Codec], classes: Sequence[int], count: int, report: Report
) -> Comparison:
    """Measure every way to keep the images of some classes on about ``count`` of them.

    ``codecs`` have one VQ-VAE, each with its own entropy model; the smallest is compared.

    Raises:
        OptionError: the images are smaller than the window of SSIM.
    """
    if min(source.image_size) < 11:
        raise OptionError(f"{source.root}: images must have 11x11 pixels at least to be compared")
    images = spread_over_classes(source, classes, count)
    choices = [*_lossless(images, report)]
    for name in peers.available():
        report(name)
        pack, qualities = peers.LOSSY[name]
        choices += [_file(name, f"q{q}", images, pack(images, q)) for q in qualities]
    report("DRR")
    total = sum(source.images_per_class[number] for number in classes)
    choices += _memories(codecs, images, total, len(classes))
    return Comparison(total, len(images), source.image_size, choices)


def _lossless(images: Pixels, report: Report) -> list[Choice]:
    raw = Choice("raw", "", float(images[0].size), 0, None, 1.0, None, None)
    found = [raw]
    for name, pack in (("PNG", peers.png), ("WebP lossless", peers.webp_lossless)):
        report(name)
        packed = pack(images)
        found.append(Choice(name, "", float(packed.sizes.mean()), 0, None, 1.0, *_rates(packed)))
    return found


def _file(family: str, setting: str, images: Pixels, packed: Packed) -> Choice:
    quality = psnr_db(images, packed.images), ssim(images, packed.images)
    return Choice(family, setting, float(packed.sizes.mean()), 0, *quality, *_rates(packed))


def _rates(packed: Packed) -> tuple[float, float]:
    count, (packing, unpacking) = len(packed.images), packed.seconds
    return count / packing, count / unpacking


def _memories(codecs: Sequence[Codec], images: Pixels, total: int, classes: int) -> list[Choice]:
    """The quality of the memory first, or the default one, and the whole file before others of
    it."""
    choosing = context_of(codecs) is not None
    own = next((c.quality for c in codecs if c.quality is not None), DEFAULT_QUALITY)
    qualities = [own, *(q for q in QUALITIES if q != own)]
    made = []
    for quality in qualities if choosing else [BEST]:
        made += _memory(with_quality(codecs, quality), quality, images, total, classes)
    return made


def _memory(
    codecs: Sequence[Codec], quality: int, images: Pixels, total: int, classes: int
) -> list[Choice]:
    start = time.perf_counter()
    codes = codecs[0].encode(images)
    seconds = time.perf_counter() - start
    codec, _ = smallest(codecs, codes, total, lambda codec: len(sections(codec)[1].data))
    start = time.perf_counter()
    payload = expected_bytes(codec, codes)
    coded = time.perf_counter()
    decoded = codec.decode(codes, images.shape[1:3])
    rates = [len(images) / (seconds + coded - start), len(images) / (time.perf_counter() - coded)]
    whole = Choice(
        WHOLE, f"q{quality}", payload, 0, psnr_db(images, decoded), ssim(images, decoded), *rates
    )
    vqvae, entropy_model = sections(codec)
    container = CONTAINER_BYTES + classes * CLASS_BYTES
    fixed = {
        WHOLE: len(vqvae.data) + len(entropy_model.data),
        "DRR decoder-only": len(decoder_alone(vqvae).data) + len(entropy_model.data),
        "DRR thin": 0,
    }
    return [
        replace(whole, family=name, fixed_bytes=size + container) for name, size in fixed.items()
    ]
