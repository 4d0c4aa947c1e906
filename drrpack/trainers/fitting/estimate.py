"""Estimate the bytes that entropy models would take for some codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np
import torch

from drrpack.core import layouts
from drrpack.core.ans import words_to_widen
from drrpack.core.arrays import batches
from drrpack.core.codec import Codec
from drrpack.core.codes import LEVELS, Codes, LevelName
from drrpack.core.exact import exact_arithmetic
from drrpack.core.frequencies import TABLE_PRECISION

SAMPLE = 1024  # images that stand for all
CODES_AT_ONCE = 20_480  # in one call of the networks: 256 images of 32x32, 5 of 224x224


def sizes(
    codecs: Sequence[Codec],
    sample: Codes,
    images: int | Sequence[int],
    model_bytes: Callable[[Codec], int],
) -> list[int]:
    """The bytes that streams and entropy model of each codec take together.

    They are those of ``images`` images like those of ``sample``; of several streams the images of
    each.
    """
    return [stream_bytes(codec, sample, images) + model_bytes(codec) for codec in codecs]


def spread(codes: Sequence[Codes], count: int = SAMPLE) -> Codes:
    """The codes of at most ``count`` images, evenly spaced over all classes."""
    starts = np.concatenate([[0], np.cumsum([len(of_class) for of_class in codes])])
    total = int(starts[-1])
    wanted = np.linspace(0, total - 1, count).astype(int) if count < total else np.arange(total)
    inside = np.split(wanted, np.searchsorted(wanted, starts[1:-1]))
    parts = zip(codes, inside, starts[:-1], strict=True)
    return Codes.concat([of_class.take(rows - start) for of_class, rows, start in parts])


def stream_bytes(codec: Codec, sample: Codes, images: int | Sequence[int]) -> int:
    """What streams of so many images like those of ``sample`` take, with the images that start each
    stream if several numbers are given."""
    if isinstance(images, int):
        return round(images * expected_bytes(codec, sample))
    bits = _bits_by_level(codec, sample)
    total = sum(images) * sum(bits.values()) / max(1, len(sample))
    total += sum(_start_bits(codec, name, sample, bits[name], images) for name in LEVELS)
    return round(total / 8)


def _start_bits(
    codec: Codec, name: LevelName, sample: Codes, bits: float, images: Sequence[int]
) -> float:
    """What the images that start the streams of a level take more by their table than others."""
    table = -np.log2(codec.entropy.tables[name] / 2.0**TABLE_PRECISION)
    plain = float(table[sample[name]].sum() / max(1, len(sample)))  # bits an image
    least = 1 if codec.entropy.prices is None else 0  # latents borrow from the images before

    def needed(_: int, lanes: int) -> int:  # if nothing but lanes has to be paid for
        return max(least, ceil(32 * words_to_widen(lanes) / max(1.0, plain)))

    layout = layouts.suitable(images, needed)
    more = max(0.0, plain - bits / max(1, len(sample)))
    return more * sum(layout.plain(count) for count in images)


def expected_bytes(codec: Codec, codes: Codes) -> float:
    """What the streams of an image take on average, by the model's own probabilities.

    A stream's own overhead, some six bytes and the first images of a class, is not in it.
    """
    bits = sum(_bits_by_level(codec, codes).values())
    return bits / 8 / max(1, len(codes))


def bits_of_codes(codec: Codec, codes: Codes) -> dict[str, float]:
    """Expected bits of a code, on average: of the top, of the bottom, and of all."""
    bits = _bits_by_level(codec, codes)
    counts = {"top": codes.top.size, "bottom": codes.bottom.size}
    bits["all"], counts["all"] = sum(bits.values()), sum(counts.values())
    return {level: bits[level] / max(1, counts[level]) for level in bits}


def _bits_by_level(codec: Codec, codes: Codes) -> dict[str, float]:
    bits, generator = {"top": 0.0, "bottom": 0.0}, torch.Generator().manual_seed(0)
    with exact_arithmetic(codec.device):
        for part in batches(len(codes), max(1, CODES_AT_ONCE // max(1, codes.flat.shape[1]))):
            above = None
            for name, grid in zip(LEVELS, codes.take(part).grids, strict=True):
                these = torch.from_numpy(grid.astype(np.int64)).to(codec.device)
                model = codec.entropy.levels[name]
                bits[name] += float(model.expected_bits(these, above, generator).sum())
                above = these
    return bits
