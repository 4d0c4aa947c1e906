"""Latents are integers under discretised logistics; Bit-Swap's networks and codecs of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core import ans
from drrpack.core.dense import IntEmbedding, IntLinear
from drrpack.core.entropy.combine import Symbols, bits_back
from drrpack.core.entropy.networks import Block, NetworkConfig
from drrpack.core.exact import WEIGHT_MAX, IntConv2d, relu, round_half_up
from drrpack.core.probability import (
    BIN_MAX,
    BIN_MIN,
    MEAN_UNIT,
    PRECISION,
    SCALE_COUNT,
    SCALE_STEP,
    SCALE_ZERO,
    Logistic,
)

LATENT_BITS = 3  # eight bins of a latent are 1.0 to the networks
PARAMETER_BITS = 6  # a network's 1.0 moves a mean by eight bins: the unit of MEAN_UNIT
MEAN_MIN, MEAN_MAX = -512, 511  # in eighths of a bin; what networks give is clamped to it
START_SCALE = 35  # 4.6 bins, an index into the table of scales

Moments = tuple[Tensor, Tensor]  # means in eighths of a bin, and indices into the table of scales


def moments_layer(width: int, channels: int, gain: float = 0.1) -> IntConv2d:
    """The last layer of a network that gives means and scales of ``channels`` latents."""
    return IntConv2d(
        width, 2 * channels, low=MEAN_MIN, high=MEAN_MAX, out_bits=PARAMETER_BITS, gain=gain
    )


def split_moments(raw: Tensor, start: int) -> Moments:
    """What such a layer gives, (B, 2 * channels, H, W), as means and scales from ``start`` on."""
    channels = raw.shape[1] // 2
    scale = (round_half_up(raw[:, channels:] / 4) + start).clamp(0, SCALE_COUNT - 1)
    return raw[:, :channels], scale


class LatentNetwork(nn.Module):
    """Integers (B, inputs, H, W), and a context beside them, to integers (B, outputs, H, W)."""

    def __init__(self, enter: IntConv2d, width: int, context: int, leave: IntConv2d) -> None:
        super().__init__()
        self.enter, self.leave = enter, leave
        self.context = IntConv2d(context, width, 1) if context else None
        self.block = Block(width)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        hidden = self.enter(x)
        if self.context is not None:
            hidden = hidden + self.context(context)
        out: Tensor = self.leave(relu(self.block(hidden)))
        return out


class LatentLikelihood(nn.Module):
    """Vectors of codes (B * H * W, embedding), from the first latent (B, channels, H, W)."""

    def __init__(
        self, channels: int, width: int, blocks: int, context: int, embedding: int
    ) -> None:
        super().__init__()
        self.enter = IntConv2d(channels, width, in_max=-BIN_MIN, in_bits=LATENT_BITS)
        self.context = IntConv2d(context, width, 1) if context else None
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.leave = IntLinear(width, embedding, low=-WEIGHT_MAX, high=WEIGHT_MAX)

    def forward(self, z: Tensor, context: Tensor | None) -> Tensor:
        hidden = self.enter(z)
        if self.context is not None:
            hidden = hidden + self.context(context)
        for block in self.blocks:
            hidden = block(hidden)
        out: Tensor = self.leave(relu(hidden).permute(0, 2, 3, 1).flatten(0, 2))
        return out


class LatentChain:
    """What levels with a chain of latents have in common, whatever the grids of these."""

    sizes: NetworkConfig
    embedding: IntEmbedding
    device: torch.device
    channels: int
    last: nn.Parameter  # (2 * channels,): means, then scales

    def first_posterior(self, context: int) -> LatentNetwork:
        """A network for q of the first latent, from embedded codes."""
        width = self.sizes.width
        enter = IntConv2d(self.sizes.embedding, width, in_max=WEIGHT_MAX)
        return LatentNetwork(enter, width, context, moments_layer(width, self.channels, gain=1.0))

    def latent(self, z: Symbols, shape: torch.Size) -> Tensor:
        """Bins (streams, n) as the networks take them."""
        table = self.embedding.frozen
        assert table is not None, "freeze the networks before coding with them"
        return torch.from_numpy(z).view(shape).to(self.device, table.dtype)

    def prior(self, shape: torch.Size) -> Moments:
        """Mean and scale of p for the last latent, of ``shape`` (B, channels, H, W)."""
        whole = self._last_rounded()[None, :, None, None].expand(shape[0], -1, *shape[2:])
        return split_moments(whole, START_SCALE)

    def _last_rounded(self) -> Tensor:
        return round_half_up(self.last * 2.0**PARAMETER_BITS).clamp(MEAN_MIN, MEAN_MAX)

    @property
    def last_size(self) -> int:
        return self.last.numel()

    def last_integers(self) -> NDArray[np.int64]:
        """The parameters of p over the last latent, (2 * channels,): means, then scales."""
        return self._last_rounded().detach().to(torch.int64).cpu().numpy()

    def load_last(self, values: NDArray[np.integer]) -> None:
        """The inverse of `last_integers`."""
        with torch.no_grad():
            self.last.copy_(torch.from_numpy(values.astype(np.float32)) * 2.0**-PARAMETER_BITS)


def folded(z: Tensor) -> Tensor:
    """Latents (B, C, H, W) on a grid of half the sides, rounded up: (B, C * 4, H / 2, W / 2);
    zeros lie outside of the grid."""
    height, width = z.shape[2:]
    return F.pixel_unshuffle(F.pad(z, (0, width % 2, 0, height % 2)), 2)


# --- the loss -------------------------------------------------------------------------------------


def _bins(mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    return mean / MEAN_UNIT, torch.exp2((scale - SCALE_ZERO) / SCALE_STEP)


def sample(mean: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Latents drawn from logistics, rounded to the very bins that are coded."""
    centre, spread = _bins(mean, scale)
    uniform = torch.rand(mean.shape, dtype=torch.float32, generator=generator)
    uniform = uniform.clamp(1e-6, 1 - 1e-6).to(mean.device)
    return round_half_up(centre + spread * torch.logit(uniform)).clamp(BIN_MIN, BIN_MAX)


def log2_mass(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Sum over each image of log2 of the logistic's mass in the bins ``z``."""
    centre, spread = _bins(mean, scale)
    upper, lower = (z + 0.5 - centre) / spread, (z - 0.5 - centre) / spread
    below, above = F.logsigmoid(upper), F.logsigmoid(-lower)
    inside = below + above + torch.log(-torch.expm1(-1 / spread))
    # the outermost bins hold the tails
    mass = torch.where(z <= BIN_MIN, below, torch.where(z >= BIN_MAX, above, inside))
    return mass.flatten(1).sum(1) / math.log(2)


# --- the coder ------------------------------------------------------------------------------------


def logistic(mean: Tensor, scale: Tensor, streams: int) -> ans.Codec[Symbols]:
    """Latents (streams, n), of which each has a mean and a scale."""
    rows = (x.reshape(streams, -1).to(torch.int64).cpu().numpy() for x in (mean, scale))
    found = Logistic(*rows)
    return ans.intervals(found.count, PRECISION, found.interval, found.find)


def chain(
    count: int,
    q: Callable[[int], Callable[[Symbols], ans.Codec[Symbols]]],
    p: Callable[[int], Callable[[Symbols], ans.Codec[Symbols]]],
    codes: Callable[[Symbols], ans.Codec[Symbols]],
    prior: ans.Codec[Symbols],
) -> ans.Codec[Symbols]:
    """Bit-Swap with ``count`` latents, after equations 9 to 11 of the paper.

    p(z[i]) is bits back with z[i + 1], up to the last latent, and p(codes) with z[0].

    Args:
        q: for i the codec of z[i], given what is below it: z[i - 1], or the codes.
        p: for i the codec of z[i], given z[i + 1].
        codes: the codec of the codes, given z[0].
        prior: that of the last latent.
    """
    for index in range(count - 1, 0, -1):
        prior = bits_back(posterior=q(index), likelihood=p(index - 1), prior=prior)
    return bits_back(posterior=q(0), likelihood=codes, prior=prior)
