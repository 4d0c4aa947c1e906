"""Rate-distortion optimised quantisation: choose codes that are near and cheap to code.

Often several codes are almost as near to a vector as the nearest one, and a context model expects
some of them far more than others. The code with the least ``distance + weight * bits`` (Sullivan
and Wiegand, IEEE Signal Processing Magazine 15(6), 1998) saves bits where that costs little
distortion. This affects only the encoder; the decoder does not change.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from drrpack.core.codes import LevelName
from drrpack.core.entropy.model import Prices
from drrpack.core.exact import exact_arithmetic
from drrpack.core.quantiser import Quantiser

BEST = 100  # the quality that takes the nearest code, whatever it costs
DEFAULT_QUALITY = 75
_UNIT = 250  # steps of quality for a weight of one


def thrift(prices: Prices | None, quality: int | None) -> Thrift | None:
    """A chooser of codes for a ``quality`` of 0 to 100.

    None stands for the nearest codes: at quality 100, without a quality, or without prices.
    """
    if prices is None or quality is None or quality == BEST:
        return None
    return Thrift(prices, (BEST - quality) / _UNIT)


class Thrift:
    """Chooses codes by distance and by the bits that they are expected to take.

    Args:
        prices: the bits, by a model that is frozen (`drrpack.core.freezing`).
        weight: the price of a bit, in mean squared distances from a code to the nearest other code.
    """

    def __init__(self, prices: Prices, weight: float) -> None:
        self.prices, self.weight = prices, weight

    def __call__(self, quantiser: Quantiser, z: Tensor, top: Tensor | None) -> Tensor:
        """Feature maps (B, D, H, W) to codes (B, H, W) int64; the bottom's see the codes of the top
        (B, H / 2, W / 2)."""
        level: LevelName = "top" if top is None else "bottom"
        distance = quantiser.distances(z)  # (B, H, W, K)
        price = self.weight * _spacing(quantiser)
        codes = distance.argmin(-1)
        shape = (codes.shape[1], codes.shape[2])
        with exact_arithmetic(z.device):
            for turn in self.prices.rounds(level, shape, top):
                part = turn.part(codes)
                near = turn.part(distance.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
                bits = turn.bits(codes).view(near.shape)
                part.copy_((near + price * bits).argmin(-1))
        return codes


def _spacing(quantiser: Quantiser) -> float:
    """The mean squared distance from a code to the nearest other one."""
    apart = torch.cdist(quantiser.codebook, quantiser.codebook).square()
    apart.fill_diagonal_(math.inf)
    return float(apart.min(1).values.mean())
