"""The first Bit-Swap of drrpack, which files of versions 1.0 and 2.0 have: latents and neighbours.

Each level of codes has a chain of latents on its grid, and the likelihood of a code sees the first
of them and its neighbours of earlier phases. Neighbours told so much that the latents came to carry
next to nothing, so nothing is fitted in this form any more; see `drrpack.core.entropy.bitswap`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from drrpack.core import ans
from drrpack.core.entropy.combine import Symbols
from drrpack.core.entropy.latents import (
    LATENT_BITS,
    START_SCALE,
    LatentChain,
    LatentNetwork,
    Moments,
    chain,
    log2_mass,
    logistic,
    moments_layer,
    sample,
    split_moments,
)
from drrpack.core.entropy.model import register
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.entropy.phased import PhasedConfig, PhasedLevel, PhasedNetwork
from drrpack.core.exact import IntConv2d
from drrpack.core.frequencies import Tables
from drrpack.core.probability import BIN_MIN

# Where the scales start, as indices into the table. Equal ones let the chain start at no cost, and
# grow as it helps; the first latent starts informative, or the model learns to do without it.
FIRST_POSTERIOR_SCALE = 23  # 2 bins


@dataclass(frozen=True)
class PhasedBitSwapConfig(PhasedConfig):
    """Sizes of the first Bit-Swap."""

    kind: ClassVar[str] = "bitswap"

    latents: int = 8  # the paper's

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.latents:
            raise ValueError("found Bit-Swap without latents, expected 1 at least")

    def network(self) -> PhasedBitSwapNetwork:
        return PhasedBitSwapNetwork(self)


class PhasedBitSwapLevel(LatentChain, PhasedLevel):
    """One level: the likelihood of its codes, and a chain of latents above it."""

    def add_latents(self, context: int) -> int:
        config = self.config
        self.channels = config.bottom_channels if self.conditioned else config.top_channels
        pairs = range(config.latents - 1)
        self.infer = nn.ModuleList(self._between_latents(context) for _ in pairs)
        self.infer.insert(0, self.first_posterior(context))
        self.generate = nn.ModuleList(self._between_latents(context) for _ in pairs)
        # of p over the last latent
        self.last = nn.Parameter(torch.zeros(2 * self.channels, dtype=torch.float32))
        return self.channels

    def _between_latents(self, context: int) -> LatentNetwork:
        width = self.config.latent_width
        enter = IntConv2d(self.channels, width, in_max=-BIN_MIN, in_bits=LATENT_BITS)
        return LatentNetwork(enter, width, context, moments_layer(width, self.channels))

    # the distributions

    def posterior(self, index: int, below: Tensor, context: Tensor | None) -> Moments:
        """Mean and scale of q for latent ``index``; ``below`` are the codes for index 0."""
        if index == 0:
            raw = self.infer[0](self.embedding(below), context)
            return split_moments(raw, FIRST_POSTERIOR_SCALE)
        return split_moments(self.infer[index](below, context), START_SCALE)

    def generated(self, index: int, above: Tensor, context: Tensor | None) -> Moments:
        """Mean and scale of p for latent ``index``, given the latent above it."""
        return split_moments(self.generate[index](above, context), START_SCALE)

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
            latent_bits = latent_bits - log2_mass(latent, *moments)
        latent_bits = latent_bits - log2_mass(latents[-1], *self.prior(latents[-1].shape))
        return self.code_bits(codes, latents[0], context, generator) + latent_bits

    def _sampled(
        self, codes: Tensor, context: Tensor | None, generator: torch.Generator
    ) -> tuple[list[Tensor], Tensor]:
        """A chain of latents drawn from q, and the log2 of their mass (B,)."""
        latents, mass = list[Tensor](), codes.new_zeros(len(codes), dtype=torch.float32)
        for index in range(self.config.latents):
            mean, scale = self.posterior(index, latents[-1] if index else codes, context)
            latents.append(sample(mean, scale, generator))
            mass = mass + log2_mass(latents[-1], mean, scale)
        return latents, mass

    # the coder: bits back, latent after latent

    def coder(self, shape: tuple[int, int, int, int], above: Tensor | None) -> ans.Codec[Symbols]:
        """Bit-Swap for codes of ``shape`` (streams, images, H, W)."""
        streams, images, height, width = shape
        chain_shape = torch.Size((streams * images, self.channels, height, width))
        context = self.of_top(above)

        def q(index: int) -> Callable[[Symbols], ans.Codec[Symbols]]:
            def given(below: Symbols) -> ans.Codec[Symbols]:
                x = self.latent(below, chain_shape) if index else self.grids(below)
                return logistic(*self.posterior(index, x, context), streams)

            return given

        def p(index: int) -> Callable[[Symbols], ans.Codec[Symbols]]:
            def given(above: Symbols) -> ans.Codec[Symbols]:
                z = self.latent(above, chain_shape)
                return logistic(*self.generated(index, z, context), streams)

            return given

        def p_codes(z: Symbols) -> ans.Codec[Symbols]:
            return self.code_coder(shape, self.latent(z, chain_shape), context)

        prior = logistic(*self.prior(chain_shape), streams)
        return chain(self.config.latents, q, p, p_codes, prior)


class PhasedBitSwapNetwork(PhasedNetwork):
    """The networks of both levels, with latents."""

    level = PhasedBitSwapLevel

    def model(self, tables: Tables) -> PhasedBitSwap:
        return PhasedBitSwap(self, tables)


@register
@dataclass(frozen=True)
class PhasedBitSwap(NetworkModel):
    """Codes by latents and by their neighbours."""

    kind: ClassVar[str] = "bitswap"
    versions: ClassVar[tuple[str, ...]] = ("1.0", "2.0")
    config_type: ClassVar[type[NetworkConfig]] = PhasedBitSwapConfig
