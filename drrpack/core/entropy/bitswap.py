"""Bit-Swap: grids of codes <-> bits (Kingma, Abbeel, Ho, ICML 2019; paper section 4, appendix B).

Each level of codes has its own chain of latents ``z[0] ... z[7]``. The model generates downwards,
``p(z[7]) p(z[6] | z[7]) ... p(codes | z[0])``, and infers upwards, ``q(z[0] | codes)
q(z[1] | z[0]) ...``. Bit-Swap goes up that chain. It pops each latent with q before it pushes the
variable below with p, so it never borrows the bits of more than one latent.

This differs from the reference in four ways: codes are categories and not ordered numbers; they
are coded in phases, each conditioned on earlier phases; the bottom level is conditioned on the top
level, which is decoded first; and every network is exact in integers (`drrpack.core.exact`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core import ans
from drrpack.core.entropy.combine import Symbols, bits_back
from drrpack.core.entropy.likelihood import LATENT_BITS, Block
from drrpack.core.entropy.model import register
from drrpack.core.entropy.phased import LevelNetwork, PhasedConfig, PhasedNetwork
from drrpack.core.entropy.phased_section import PhasedModel
from drrpack.core.exact import WEIGHT_MAX, IntConv2d, relu, round_half_up
from drrpack.core.frequencies import Tables
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

PARAMETER_BITS = 6  # a network's 1.0 moves a mean by eight bins: the unit of MEAN_UNIT
# Where the scales start, as indices into the table. Equal ones let the chain start at no cost, and
# grow as it helps; the first latent starts informative, or the model learns to do without it.
FIRST_POSTERIOR_SCALE = 23  # 2 bins
START_SCALE = 35  # 4.6 bins


@dataclass(frozen=True)
class BitSwapConfig(PhasedConfig):
    """Sizes of Bit-Swap. One megabyte and a half in all; the paper's takes 13.4 MiB."""

    kind: ClassVar[str] = "bitswap"

    latents: int = 8  # the paper's

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.latents:
            raise ValueError("found Bit-Swap without latents, expected 1 at least")

    def network(self) -> BitSwapNetwork:
        return BitSwapNetwork(self)


class _Network(nn.Module):
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


class BitSwapLevel(LevelNetwork):
    """One level: the likelihood of its codes, and a chain of latents above it."""

    def add_latents(self, context: int) -> int:
        config = self.config
        self.channels = config.bottom_channels if self.conditioned else config.top_channels
        pairs = range(config.latents - 1)
        self.infer = nn.ModuleList(self._between_latents(context) for _ in pairs)
        self.infer.insert(0, self._first_posterior(context))
        self.generate = nn.ModuleList(self._between_latents(context) for _ in pairs)
        # of p over the last latent
        self.last = nn.Parameter(torch.zeros(2 * self.channels, dtype=torch.float32))
        return self.channels

    def _moments(self, width: int, gain: float = 0.1) -> IntConv2d:
        outputs = 2 * self.channels
        return IntConv2d(width, outputs, low=-512, high=511, out_bits=PARAMETER_BITS, gain=gain)

    def _first_posterior(self, context: int) -> _Network:
        width = self.config.width
        enter = IntConv2d(self.config.embedding, width, in_max=WEIGHT_MAX)
        return _Network(enter, width, context, self._moments(width, gain=1.0))

    def _between_latents(self, context: int) -> _Network:
        width = self.config.latent_width
        enter = IntConv2d(self.channels, width, in_max=-BIN_MIN, in_bits=LATENT_BITS)
        return _Network(enter, width, context, self._moments(width))

    # the distributions

    def posterior(self, index: int, below: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and scale of q for latent ``index``; ``below`` are the codes for index 0."""
        if index == 0:
            raw = self.infer[0](self.embedding(below), context)
            return self._split(raw, FIRST_POSTERIOR_SCALE)
        return self._split(self.infer[index](below, context), START_SCALE)

    def generated(self, index: int, above: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and scale of p for latent ``index``, given the latent above it."""
        return self._split(self.generate[index](above, context), START_SCALE)

    def prior(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Mean and scale of p for the last latent, of ``shape`` (B, channels, H, W)."""
        whole = self._last_rounded()[None, :, None, None].expand(shape[0], -1, *shape[2:])
        return self._split(whole, START_SCALE)

    def _split(self, raw: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Means in eighths of a bin, and indices into the table of scales."""
        mean, scale = raw[:, : self.channels], raw[:, self.channels :]
        return mean, (round_half_up(scale / 4) + start).clamp(0, SCALE_COUNT - 1)

    def _last_rounded(self) -> Tensor:
        return round_half_up(self.last * 2.0**PARAMETER_BITS).clamp(-512, 511)

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

    # the loss: expected bits

    def expected_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """One sample of the bits (B,) that Bit-Swap needs for codes (B, H, W): the negative ELBO.

        The latents are rounded to the very bins that are coded.
        """
        context = self.of_top(above)
        latents, latent_bits = self._sampled(codes, context, generator)
        for index, (latent, upper) in enumerate(pairwise(latents)):
            moments = self.generated(index, upper, context)
            latent_bits = latent_bits - _log2_mass(latent, *moments)
        latent_bits = latent_bits - _log2_mass(latents[-1], *self.prior(latents[-1].shape))
        return self.code_bits(codes, latents[0], context, generator) + latent_bits

    def _sampled(
        self, codes: Tensor, context: Tensor | None, generator: torch.Generator
    ) -> tuple[list[Tensor], Tensor]:
        """A chain of latents drawn from q, and the log2 of their mass (B,)."""
        latents, mass = list[Tensor](), codes.new_zeros(len(codes), dtype=torch.float32)
        for index in range(self.config.latents):
            mean, scale = self.posterior(index, latents[-1] if index else codes, context)
            latents.append(_sample(mean, scale, generator))
            mass = mass + _log2_mass(latents[-1], mean, scale)
        return latents, mass

    # the coder: bits back, latent after latent

    def coder(self, shape: tuple[int, int, int, int], above: Tensor | None) -> ans.Codec[Symbols]:
        """Bit-Swap for codes of ``shape`` (streams, images, H, W), after equations 9 to 11 there.

        p(z[i]) is bits back with z[i + 1], up to the last latent, and p(codes) with z[0].
        """
        streams, images, height, width = shape
        chain = torch.Size((streams * images, self.channels, height, width))
        context = self.of_top(above)

        def q(index: int) -> Callable[[Symbols], ans.Codec[Symbols]]:
            def given(below: Symbols) -> ans.Codec[Symbols]:
                x = self._latent(below, chain) if index else self.grids(below)
                return _logistic(*self.posterior(index, x, context), streams)

            return given

        def p(index: int) -> Callable[[Symbols], ans.Codec[Symbols]]:
            def given(above: Symbols) -> ans.Codec[Symbols]:
                z = self._latent(above, chain)
                return _logistic(*self.generated(index, z, context), streams)

            return given

        def p_codes(z: Symbols) -> ans.Codec[Symbols]:
            return self.code_coder(shape, self._latent(z, chain), context)

        prior = _logistic(*self.prior(chain), streams)
        for index in range(self.config.latents - 1, 0, -1):
            prior = bits_back(posterior=q(index), likelihood=p(index - 1), prior=prior)
        return bits_back(posterior=q(0), likelihood=p_codes, prior=prior)

    def _latent(self, z: Symbols, shape: torch.Size) -> Tensor:
        """Bins (streams, n) as the networks take them."""
        table = self.embedding.frozen
        assert table is not None, "freeze the networks before coding with them"
        return torch.from_numpy(z).view(shape).to(self.device, table.dtype)


class BitSwapNetwork(PhasedNetwork):
    """The networks of both levels, with latents."""

    level = BitSwapLevel

    def model(self, tables: Tables) -> BitSwap:
        return BitSwap(self, tables)


@register
@dataclass(frozen=True)
class BitSwap(PhasedModel):
    """Codes by latents and by their neighbours."""

    kind: ClassVar[str] = "bitswap"
    config_type: ClassVar[type[PhasedConfig]] = BitSwapConfig


def _bins(mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    return mean / MEAN_UNIT, torch.exp2((scale - SCALE_ZERO) / SCALE_STEP)


def _sample(mean: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    centre, spread = _bins(mean, scale)
    uniform = torch.rand(mean.shape, dtype=torch.float32, generator=generator)
    uniform = uniform.clamp(1e-6, 1 - 1e-6).to(mean.device)
    return round_half_up(centre + spread * torch.logit(uniform)).clamp(BIN_MIN, BIN_MAX)


def _log2_mass(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Sum over each image of log2 of the logistic's mass in the bins ``z``."""
    centre, spread = _bins(mean, scale)
    upper, lower = (z + 0.5 - centre) / spread, (z - 0.5 - centre) / spread
    below, above = F.logsigmoid(upper), F.logsigmoid(-lower)
    inside = below + above + torch.log(-torch.expm1(-1 / spread))
    # the outermost bins hold the tails
    mass = torch.where(z <= BIN_MIN, below, torch.where(z >= BIN_MAX, above, inside))
    return mass.flatten(1).sum(1) / math.log(2)


def _logistic(mean: Tensor, scale: Tensor, streams: int) -> ans.Codec[Symbols]:
    """Latents (streams, n), of which each has a mean and a scale."""
    rows = (x.reshape(streams, -1).to(torch.int64).cpu().numpy() for x in (mean, scale))
    logistic = Logistic(*rows)
    return ans.intervals(logistic.count, PRECISION, logistic.interval, logistic.find)
