"""Measure bytes, quality and speed of each format on the user's images: ``drrpack compare``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core.codec import Codec, Pixels, prices_of, with_quality
from drrpack.core.errors import OptionError
from drrpack.core.progress import Notice, Step
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY
from drrpack.core.settings import float_arithmetic
from drrpack.formats.layout import Json
from drrpack.formats.memory import decoder_alone, entropy_section, sections
from drrpack.formats.sources.source import Source
from drrpack.trainers.comparison import peers
from drrpack.trainers.comparison.peers import Packed, Rival, Setting
from drrpack.trainers.comparison.quality import psnr_db, ssim
from drrpack.trainers.comparison.sheets import capacity, sheets_of
from drrpack.trainers.fitting.choice import expected_bytes, smallest
from drrpack.trainers.versions import versions

WHOLE = "DRR"  # the memory that holds all its models
QUALITIES = (100, 75, 50)  # of a memory
SAMPLE = 1000  # images to measure on, if they are small
SHEET_SHARE = 4  # sheets hold whole classes, so they are measured on this many times more images
SHEET_PIXELS = 1 << 22  # the limit for large images, in pixels: AVIF takes seconds for them
CONTAINER_BYTES = 4000  # HDF5, digests and seal: see docs/format.md
CLASS_BYTES = 50  # a row of the index and a name
Report = Callable[[Step | Notice], None]


@dataclass(frozen=True)
class Choice:
    """One format with its settings: bytes, quality and speed."""

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
    # what its encoder is told
    options: Mapping[str, Setting] = field(default_factory=dict, compare=False)
    read_together: float = 1  # images that are decoded where one is asked for

    def bytes_an_image(self, images: int) -> float:
        """All told, where ``images`` are kept."""
        return self.image_bytes + self.fixed_bytes / max(1, images)

    @property
    def name(self) -> str:
        return f"{self.family} {self.setting}".strip()

    @property
    def quality(self) -> float:
        """What its encoder is told of quality, 0 to 100."""
        told = self.options["quality"]
        assert isinstance(told, int | float), "each lossy choice has a quality"
        return told

    def to_json(self, images: int) -> Json:
        size = self.bytes_an_image(images)
        return {**vars(self), "options": dict(self.options), "bytes_an_image": size}


@dataclass(frozen=True)
class Comparison:
    """All choices for a source of ``images`` images, measured on ``sample`` of them."""

    images: int
    sample: int
    image_size: tuple[int, int]
    choices: list[Choice]
    measured_classes: int = 0  # that the sample is of, and that sheets hold whole

    @property
    def memory(self) -> Choice:
        """The memory that holds all its models, of its own quality or the default one."""
        return self.of(WHOLE)[0]

    def of(self, family: str) -> list[Choice]:
        return [choice for choice in self.choices if choice.family == family]

    def rivals(self) -> list[str]:
        """The families of lossy files."""
        return [name for name in peers.LOSSY if self.of(name)]

    def to_json(self) -> Json:
        choices = [choice.to_json(self.images) for choice in self.choices]
        made_by = {**versions(), **peers.libraries()}
        machine = {"threads": torch.get_num_threads(), "versions": made_by}
        return {**vars(self), "choices": choices, **machine}


def default_sample(size: tuple[int, int]) -> int:
    """How many images of ``size`` (H, W) to measure on: packing large ones takes seconds each."""
    return max(SAMPLE // 20, min(SAMPLE, SAMPLE * 64 * 64 // (size[0] * size[1])))


@dataclass(frozen=True)
class Sample:
    """The images that are measured: all images of some classes for sheets, and some of each."""

    classes: list[Pixels]  # (n, H, W, 3) each
    rows: NDArray[np.int64]  # of the images that all choices are measured on, among all of these

    @property
    def images(self) -> Pixels:
        """Those that all choices are measured on, (n, H, W, 3)."""
        return np.concatenate(self.classes)[self.rows]


def draw_sample(source: Source, classes: Sequence[int], count: int) -> Sample:
    """About ``count`` training images, evenly from some classes spread evenly over ``classes``.

    `SHEET_SHARE` and `SHEET_PIXELS` limit the number of these classes, of which sheets are made.
    """
    height, width = source.image_size
    full = capacity(source.image_size)
    typical = sum(min(full, source.images_per_class[c]) for c in classes) / len(classes)
    wanted = min(SHEET_SHARE * count, max(count, SHEET_PIXELS // (height * width)))
    enough = max(2, -(-wanted // max(1, int(typical))))
    spread = np.linspace(0, len(classes) - 1, min(len(classes), enough)).astype(int)
    each = max(1, -(-count // len(spread)))
    parts, rows, start = [], [], 0
    for number in spread:
        images = source.load(classes[number])[: max(full, each)]
        parts.append(images)
        rows.append(start + np.linspace(0, len(images) - 1, min(each, len(images))).astype(int))
        start += len(images)
    return Sample(parts, np.concatenate(rows))


@float_arithmetic()
def compare(
    source: Source,
    codecs: Sequence[Codec],
    classes: Sequence[int],
    count: int,
    report: Report,
    sizes: Sequence[float] = (),
) -> Comparison:
    """Measure all formats on about ``count`` images of some classes.

    ``codecs`` have one VQ-VAE, each with its own entropy model; the smallest is compared. Each
    family of files also gets the best quality that takes no more bytes an image than the memory,
    and than each of ``sizes``.

    Raises:
        OptionError: the images are smaller than the window of SSIM.
    """
    if min(source.image_size) < 11:
        raise OptionError(f"{source.place}: images must have 11x11 pixels at least to be compared")
    sample = draw_sample(source, classes, count)
    stages = _Stages(report, 3 + len(peers.available()))
    stages.begin(WHOLE)
    total = sum(source.images_per_class[number] for number in classes)
    memories = _memories(codecs, sample, total, len(classes))
    targets = [memories[0].bytes_an_image(total), *sizes]
    choices = [*_lossless(sample.images, stages)]
    for name in peers.available():
        stages.begin(name)
        choices += measured(peers.LOSSY[name], sample, targets)
    choices += memories
    return Comparison(total, len(sample.rows), source.image_size, choices, len(sample.classes))


def measured(rival: Rival, sample: Sample, targets: Sequence[float]) -> list[Choice]:
    """A family of files: its curve, and for each target the best quality that takes no more bytes.

    Targets are in bytes an image; qualities may lie beyond the curve. Sizes grow with quality (to
    within a few bytes), so bisection finds these qualities.
    """
    known = {float(quality): _file(rival, quality, sample) for quality in rival.curve}
    for target in targets:
        below = [quality for quality in known if known[quality].image_bytes <= target]
        low = max(below, default=None)
        if low is not None and low == max(known) and low < peers.BEST_LOSSY:
            known[peers.BEST_LOSSY] = _file(rival, peers.BEST_LOSSY, sample)
            if known[peers.BEST_LOSSY].image_bytes <= target:
                continue
        high = min((q for q in known if low is not None and q > low), default=None)
        while low is not None and high is not None:
            middle = rival.between(low, high)
            if middle is None:
                break
            known[middle] = _file(rival, middle, sample)
            low, high = (middle, high) if known[middle].image_bytes <= target else (low, middle)
    return [known[quality] for quality in sorted(known)]


class _Stages:
    """Reports which family is measured next, of how many."""

    def __init__(self, report: Report, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def begin(self, family: str) -> None:
        self._report(Step(family, self._done, self._total))
        self._done += 1


def _lossless(images: Pixels, stages: _Stages) -> list[Choice]:
    raw = Choice("raw", "", float(images[0].size), 0, None, 1.0, None, None)
    found = [raw]
    for name, pack, options in (
        ("PNG", peers.png, peers.PNG_OPTIONS),
        ("WebP lossless", peers.webp_lossless, peers.WEBP_LOSSLESS_OPTIONS),
    ):
        stages.begin(name)
        packed = pack(images)
        size, rates = packed.image_bytes, _rates(packed)
        found.append(Choice(name, "", size, 0, None, 1.0, *rates, options=options))
    return found


def _file(rival: Rival, quality: float, sample: Sample) -> Choice:
    """Files of the sample, or sheets of its classes; of both the sample's images are judged."""
    options, together = rival.told(quality), 1.0
    if rival.sheets:
        packed = rival.pack(sample.classes, quality)
        decoded = packed.images[sample.rows]
        together = _mean_length(list(sheets_of(sample.classes)))
    else:
        packed = rival.pack([sample.images], quality)
        decoded = packed.images
    judged = psnr_db(sample.images, decoded), ssim(sample.images, decoded)
    return Choice(
        rival.name, f"q{options['quality']:g}", packed.image_bytes, 0, *judged, *_rates(packed),
        options=options, read_together=together,
    )  # fmt: skip


def _mean_length(parts: Sequence[Pixels]) -> float:
    return sum(len(part) for part in parts) / len(parts)


def _rates(packed: Packed) -> tuple[float, float]:
    count, (packing, unpacking) = len(packed.images), packed.seconds
    return count / packing, count / unpacking


def _memories(codecs: Sequence[Codec], sample: Sample, total: int, classes: int) -> list[Choice]:
    """The quality of the memory first, or the default one, and the whole file before others of
    it."""
    choosing = prices_of(codecs) is not None
    own = next((c.quality for c in codecs if c.quality is not None), DEFAULT_QUALITY)
    qualities = [own, *(q for q in QUALITIES if q != own)]
    made = []
    for quality in qualities if choosing else [BEST]:
        found = _memory(with_quality(codecs, quality), quality, sample.images, total, classes)
        made += [replace(choice, read_together=total / classes) for choice in found]
    return made


def _memory(
    codecs: Sequence[Codec], quality: int, images: Pixels, total: int, classes: int
) -> list[Choice]:
    start = time.perf_counter()
    codes = codecs[0].encode(images)
    seconds = time.perf_counter() - start
    codec, _ = smallest(codecs, codes, total, lambda codec: len(entropy_section(codec).data))
    start = time.perf_counter()
    payload = expected_bytes(codec, codes)
    coded = time.perf_counter()
    decoded = codec.decode(codes, images.shape[1:3])
    count, ended = len(images), time.perf_counter()
    rates = count / (seconds + coded - start), count / (ended - coded)
    whole = Choice(
        WHOLE, f"q{quality}", payload, 0, psnr_db(images, decoded), ssim(images, decoded), *rates,
        options={"quality": quality, "entropy_model": codec.entropy.kind},
    )  # fmt: skip
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
