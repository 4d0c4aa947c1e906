"""Latents are integers under discretised logistics; Bit-Swap's networks and codecs of them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.by_rows import by_rows
from drrpack.core.convolution import IntConv2d
from drrpack.core.entropy.combine import bits_back, in_blocks
from drrpack.core.entropy.networks import Block, LevelParts, NetworkConfig, grids
from drrpack.core.exact import WEIGHT_MAX, relu, round_half_up
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
NETWORK_REACH = 4  # rows on each side that a row of a network's output depends on
LATENTS_AT_ONCE = 1 << 20  # whose intervals are found together
KEPT = 32  # numbers of a byte that a latent takes until its group is coded
START_SCALE = 35  # 4.6 bins, an index into the table of scales

Shape = tuple[int, int]
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
        # channels of the layer that has most
        self.widest = max(width, context, enter.weight.shape[1], leave.weight.shape[0])

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        return by_rows(self._of_rows, (x, context), NETWORK_REACH, self.widest)

    def _of_rows(self, x: Tensor, context: Tensor | None) -> Tensor:
        hidden = self.enter(x)
        if self.context is not None:
            hidden = hidden + self.context(context)
        out: Tensor = self.leave(relu(self.block(hidden)))
        return out


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
    rows = [x.reshape(streams, -1).to(torch.int16).cpu().numpy() for x in (mean, scale)]

    def codec_of(columns: slice) -> ans.Codec[Symbols]:
        found = Logistic(*(row[:, columns].astype(np.int64) for row in rows))
        return ans.intervals(found.count, PRECISION, found.interval, found.find)

    return in_blocks(rows[0].shape[1], max(1, LATENTS_AT_ONCE // streams), codec_of)


# --- a level with a chain of latents --------------------------------------------------------------


class LatentChain(LevelParts):
    """A level whose codes are coded by Bit-Swap, whatever the grids of its latents."""

    infer: nn.ModuleList  # q of each latent
    generate: nn.ModuleList  # p of each but the last
    last: nn.Parameter  # of p over the last latent, (2 * channels,): means, then scales

    def __init__(self, config: NetworkConfig, conditioned: bool, channels: int) -> None:
        super().__init__(config, conditioned)
        self.channels = channels  # of each latent

    def first_posterior(self, context: int) -> LatentNetwork:
        """A network for q of the first latent, from embedded codes."""
        width = self.config.width
        enter = IntConv2d(self.config.embedding, width, in_max=WEIGHT_MAX)
        return LatentNetwork(enter, width, context, moments_layer(width, self.channels, gain=1.0))

    def between(self, width: int, context: int, places: int = 1) -> LatentNetwork:
        """A network that sees so many places of another latent at each of its own."""
        enter = IntConv2d(places * self.channels, width, in_max=-BIN_MIN, in_bits=LATENT_BITS)
        return LatentNetwork(enter, width, context, moments_layer(width, self.channels))

    def of_codes(self, codes: Tensor, context: Tensor | None) -> Tensor:
        """What the network for q of the first latent makes of codes (B, H, W): (B, 2 * channels,
        H, W)."""

        def network(codes: Tensor, context: Tensor | None) -> Tensor:
            out: Tensor = self.infer[0](self.embedding(codes), context)
            return out

        widest = max(self.config.embedding, self.config.width)
        return by_rows(network, (codes, context), NETWORK_REACH, widest)

    @property
    def kept(self) -> int:
        return max(super().kept, KEPT * self.channels)

    # the distributions

    @abstractmethod
    def contexts(self, above: Tensor | None) -> list[Tensor | None]:
        """What is known of the top, on the grid of each latent."""

    @abstractmethod
    def grids_of_latents(self, shape: Shape) -> list[Shape]:
        """The grid of each latent, for codes of ``shape`` (H, W)."""

    @abstractmethod
    def posterior(self, index: int, below: Tensor, context: Tensor | None) -> Moments:
        """Mean and scale of q for latent ``index``; ``below`` are the codes for index 0."""

    @abstractmethod
    def generated(self, index: int, above: Tensor, context: Tensor | None, like: Shape) -> Moments:
        """Mean and scale of p for latent ``index`` of the grid ``like``, given the one above it."""

    def prior(self, shape: torch.Size) -> Moments:
        """Mean and scale of p for the last latent, of ``shape`` (B, channels, H, W)."""
        whole = self._last_rounded()[None, :, None, None].expand(shape[0], -1, *shape[2:])
        return split_moments(whole, START_SCALE)

    # the loss: expected bits

    @abstractmethod
    def code_bits(
        self, codes: Tensor, latent: Tensor, context: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Bits (B,) of the codes given the first latent: right on average."""

    def expected_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """One sample of the bits (B,) that codes (B, H, W) take: the negative ELBO."""
        of_codes, of_latents = self.parts_of_bits(codes, above, generator)
        return of_codes + of_latents

    def parts_of_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The bits of codes given their first latent, and of the latents less those that they give
        back: one sample of each, (B,). Latents are rounded to the very bins that are coded."""
        contexts, latents = self.contexts(above), list[Tensor]()
        bits = codes.new_zeros(len(codes), dtype=torch.float32)
        for index, context in enumerate(contexts):
            moments = self.posterior(index, latents[-1] if index else codes, context)
            latents.append(sample(*moments, generator))
            bits = bits + log2_mass(latents[-1], *moments)
        for index, (latent, upper) in enumerate(pairwise(latents)):
            grid = (latent.shape[2], latent.shape[3])
            moments = self.generated(index, upper, contexts[index], grid)
            bits = bits - log2_mass(latent, *moments)
        bits = bits - log2_mass(latents[-1], *self.prior(latents[-1].shape))
        return self.code_bits(codes, latents[0], contexts[0], generator), bits

    # the coder: bits back, latent after latent

    @abstractmethod
    def code_coder(
        self, shape: tuple[int, int, int, int], latent: Tensor, context: Tensor | None
    ) -> ans.Codec[Symbols]:
        """The codec of codes given the first latent."""

    def coder(self, shape: tuple[int, int, int, int], above: Tensor | None) -> ans.Codec[Symbols]:
        """Bit-Swap for codes of ``shape`` (streams, images, H, W), after equations 9 to 11 of the
        paper.

        p(z[i]) is bits back with z[i + 1], up to the last latent, and p(codes) with z[0].
        """
        self.refuse_large(shape)
        streams, images, height, width = shape
        places = self.grids_of_latents((height, width))
        shapes = [torch.Size((streams * images, self.channels, *grid)) for grid in places]
        contexts = self.contexts(above)

        def q(index: int) -> Callable[[Symbols], ans.Codec[Symbols]]:
            def given(below: Symbols) -> ans.Codec[Symbols]:
                x = self._latent(below, shapes[index - 1]) if index else grids(below, self.device)
                return logistic(*self.posterior(index, x, contexts[index]), streams)

            return given

        def p(index: int) -> Callable[[Symbols], ans.Codec[Symbols]]:
            def given(above: Symbols) -> ans.Codec[Symbols]:
                z = self._latent(above, shapes[index + 1])
                moments = self.generated(index, z, contexts[index], places[index])
                return logistic(*moments, streams)

            return given

        def p_codes(z: Symbols) -> ans.Codec[Symbols]:
            return self.code_coder(shape, self._latent(z, shapes[0]), contexts[0])

        prior = logistic(*self.prior(shapes[-1]), streams)
        for index in range(len(places) - 1, 0, -1):
            prior = bits_back(posterior=q(index), likelihood=p(index - 1), prior=prior)
        return bits_back(posterior=q(0), likelihood=p_codes, prior=prior)

    def _latent(self, z: Symbols, shape: torch.Size) -> Tensor:
        """Bins (streams, n) as the networks take them."""
        table = self.embedding.frozen
        assert table is not None, "freeze the networks before coding with them"
        return torch.from_numpy(z).view(shape).to(self.device, table.dtype)

    # parameters of p over the last latent

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
