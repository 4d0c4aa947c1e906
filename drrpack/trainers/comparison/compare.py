"""Measure bytes, quality and speed of each format on the user's images: ``drrpack compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.codec import Codec
from drrpack.core.errors import OptionError
from drrpack.core.progress import Notice, Step
from drrpack.core.quality import psnr_db, ssim
from drrpack.core.settings import float_arithmetic
from drrpack.formats.sources.source import Source
from drrpack.trainers.comparison import peers
from drrpack.trainers.comparison.choices import WHOLE, Choice, Comparison
from drrpack.trainers.comparison.memories import MadeOf, memories
from drrpack.trainers.comparison.peers import Packed, Rival
from drrpack.trainers.comparison.sheets import capacity, sheets_of

SAMPLE = 1000  # images to measure on, if they are small
SHEET_SHARE = 4  # sheets hold whole classes, so they are measured on this many times more images
SHEET_PIXELS = 1 << 22  # the limit for large images, in pixels: AVIF takes seconds for them
Report = Callable[[Step | Notice], None]


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
    made_of: MadeOf | None = None,
    rivals: Sequence[str] | None = None,
) -> Comparison:
    """Measure all formats on about ``count`` images of some classes.

    ``codecs`` have one VQ-VAE, each with its own entropy model; ``made_of`` adds others that are
    made of the codes of the sample. Of all these the one that makes the smallest file is compared.
    Each family of files also gets the best quality that takes no more bytes an image than the
    memory, and than each of ``sizes``. ``rivals`` are the families to compare with, of
    `peers.available`; all by default.

    Raises:
        OptionError: the images are smaller than the window of SSIM.
    """
    if min(source.image_size) < 11:
        raise OptionError(f"{source.place}: images must have 11x11 pixels at least to be compared")
    sample = draw_sample(source, classes, count)
    rivals = peers.available() if rivals is None else rivals
    stages = _Stages(report, 3 + len(rivals))
    stages.begin(WHOLE)
    counts = [source.images_per_class[number] for number in classes]
    total = sum(counts)
    made = memories(codecs, sample.images, counts, made_of or (lambda codecs, *_: codecs))
    targets = [made[0].bytes_an_image(total), *sizes]
    choices = [*_lossless(sample.images, stages)]
    for name in rivals:
        stages.begin(name)
        choices += measured(peers.LOSSY[name], sample, targets)
    choices += made
    return Comparison(total, len(sample.rows), source.image_size, choices, len(sample.classes))


def measured(rival: Rival, sample: Sample, targets: Sequence[float]) -> list[Choice]:
    """A family of files: its curve, and for each target the best quality that takes no more bytes.

    Targets are in bytes an image; qualities may lie beyond the curve. Sizes grow with quality (to
    within a few bytes), so bisection finds these qualities.
    """
    known = {float(quality): _file(rival, quality, sample) for quality in rival.curve}
    for target in targets:
        _reach(rival, sample, target, known)
        low = max((q for q in known if known[q].image_bytes <= target), default=None)
        high = min((q for q in known if low is not None and q > low), default=None)
        while low is not None and high is not None:
            middle = rival.between(low, high)
            if middle is None:
                break
            known[middle] = _file(rival, middle, sample)
            low, high = (middle, high) if known[middle].image_bytes <= target else (low, middle)
    return [known[quality] for quality in sorted(known)]


def _reach(rival: Rival, sample: Sample, target: float, known: dict[float, Choice]) -> None:
    """Try the format's lowest quality where all that are ``known`` take more than the target, and
    its highest where all take less."""
    fits = {quality: choice.image_bytes <= target for quality, choice in known.items()}
    if not any(fits.values()) and min(known) > rival.lowest:
        known[rival.lowest] = _file(rival, rival.lowest, sample)
    if fits[max(fits)] and max(known) < peers.BEST_LOSSY:
        known[peers.BEST_LOSSY] = _file(rival, peers.BEST_LOSSY, sample)


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
