"""What entropy models would make of codes before any is coded, and which is the smallest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from drrpack.core.codec import ClassCodes, Codec
from drrpack.core.entropy.bitswap import expected_bits
from drrpack.core.exact import exact_arithmetic
from drrpack.core.pixels import batches

SAMPLE = 1024  # images that stand for all
CODES_AT_ONCE = 20_480  # in one call of the networks: 256 images of 32x32, 5 of 224x224


def smallest(
    codecs: Sequence[Codec], sample: ClassCodes, images: int, model_bytes: Callable[[Codec], int]
) -> tuple[Codec, dict[str, int]]:
    """The codec whose streams and entropy model take the fewest bytes together for so many images
    like those of ``sample``; and how many that are, by the kind of each codec."""
    sizes = [round(images * expected_bytes(codec, sample)) + model_bytes(codec) for codec in codecs]
    kinds = [codec.bitswap.config.kind for codec in codecs]
    return codecs[sizes.index(min(sizes))], dict(zip(kinds, sizes, strict=True))


def spread(codes: Sequence[ClassCodes], count: int = SAMPLE) -> ClassCodes:
    """The codes of at most ``count`` images, evenly spaced over all classes."""
    top, bottom = (np.concatenate([getattr(c, n) for c in codes]) for n in ("top", "bottom"))
    picked = np.linspace(0, len(top) - 1, min(count, len(top))).astype(int)
    return ClassCodes(top[picked], bottom[picked])


def expected_bytes(codec: Codec, codes: ClassCodes) -> float:
    """What the streams of an image take on average, by the model's own probabilities.

    A stream's own overhead, some six bytes and the first images of a class, is not in it.
    """
    bits = sum(_bits_by_level(codec, codes).values())
    return bits / 8 / max(1, len(codes))


def bits_of_codes(codec: Codec, codes: ClassCodes) -> dict[str, float]:
    """Expected bits of a code, on average: of the top, of the bottom, and of all."""
    bits = _bits_by_level(codec, codes)
    counts = {"top": codes.top.size, "bottom": codes.bottom.size}
    bits["all"], counts["all"] = sum(bits.values()), sum(counts.values())
    return {level: bits[level] / max(1, counts[level]) for level in bits}


def _bits_by_level(codec: Codec, codes: ClassCodes) -> dict[str, float]:
    bits, generator = {"top": 0.0, "bottom": 0.0}, torch.Generator().manual_seed(0)
    with exact_arithmetic(codec.device):
        for part in batches(len(codes), max(1, CODES_AT_ONCE // max(1, codes.flat.shape[1]))):
            top, bottom = (
                torch.from_numpy(level[part]).to(codec.device)
                for level in (codes.top, codes.bottom)
            )
            for name, model, grid, above in (
                ("top", codec.top.model, top, None),
                ("bottom", codec.bottom.model, bottom, top),
            ):
                of_codes, of_latents = expected_bits(model, grid, above, generator)
                bits[name] += float((of_codes + of_latents).sum())
    return bits
