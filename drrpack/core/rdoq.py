"""Rate-distortion optimised quantisation: codes that are near, and cheap to code.

The nearest code of a vector is often one among several that are almost as near, and a context model
expects some of them far more than others. Choosing the code with the least ``distance + weight *
bits`` (Sullivan and Wiegand, IEEE Signal Processing Magazine 15(6), 1998) saves bits where that
costs little. Only who encodes needs to know; what decodes does not change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from drrpack.core.codec import Codec
from drrpack.core.entropy.code_model import BitSwap, LevelModel
from drrpack.core.exact import exact_arithmetic
from drrpack.core.probability import LOGIT_BITS
from drrpack.core.vqvae import Quantiser

BEST = 100  # the quality that takes the nearest code, whatever it costs
DEFAULT_QUALITY = 75
_UNIT = 250  # so many steps of quality make a weight of one


def thrift(model: BitSwap, quality: int) -> Thrift | None:
    """How a ``quality`` of 0 to 100 chooses codes, by what a frozen context model expects."""
    return None if quality == BEST else Thrift(model, (BEST - quality) / _UNIT)


def context_of(codecs: Sequence[Codec]) -> BitSwap | None:
    """The context model among those of some codecs, or beside them."""
    own = (c.bitswap for c in codecs if c.bitswap.config.kind == "context")
    beside = (c.context for c in codecs if c.context is not None)
    return next(own, None) or next(beside, None)


def with_quality(codecs: Sequence[Codec], quality: int) -> list[Codec]:
    """Codecs of one VQ-VAE that choose codes as ``quality`` says, by the context model of one of
    them; the nearest codes where none has one."""
    context = context_of(codecs)
    choose = None if context is None else thrift(context, quality)
    kept = BEST if context is None else quality
    return [replace(codec, choose=choose, quality=kept, context=context) for codec in codecs]


class Thrift:
    """Chooses codes by distance and by the bits that a context model expects for them.

    Args:
        model: a frozen model without latents.
        weight: what a bit is worth, in the mean squared distance from a code to the one next to it.
    """

    def __init__(self, model: BitSwap, weight: float) -> None:
        assert not model.config.latents, "bits of a code alone are known to a context model only"
        self.model, self.weight = model, weight

    def __call__(self, quantiser: Quantiser, z: Tensor, top: Tensor | None) -> Tensor:
        """Feature maps (B, D, H, W) to codes (B, H, W) int64; the bottom's see the codes of the top
        (B, H / 2, W / 2)."""
        model = self.model.top if top is None else self.model.bottom
        distance = quantiser.distances(z)  # (B, H, W, K)
        price = self.weight * _spacing(quantiser)
        codes = distance.argmin(-1)
        with exact_arithmetic(z.device):
            context = None if model.context is None or top is None else model.context(top)
            for number in model.phases.within(codes.shape[1:]):
                part = model.phases.part(codes, number)
                near = model.phases.part(distance.permute(0, 3, 1, 2), number).permute(0, 2, 3, 1)
                bits = _bits(model, number, codes, context).view(near.shape)
                part.copy_((near + price * bits).argmin(-1))
        return codes


def _bits(model: LevelModel, number: int, codes: Tensor, context: Tensor | None) -> Tensor:
    """What each code would take at each place of a phase: (N, K)."""
    logits = model.logits(model.places(number, codes, None, context)).float()
    nats = torch.log_softmax(logits * (math.log(2) / 2**LOGIT_BITS), dim=1)
    return nats / -math.log(2)


def _spacing(quantiser: Quantiser) -> float:
    """The mean squared distance from a code to the nearest other one."""
    apart = torch.cdist(quantiser.codebook, quantiser.codebook).square()
    apart.fill_diagonal_(math.inf)
    return float(apart.min(1).values.mean())
