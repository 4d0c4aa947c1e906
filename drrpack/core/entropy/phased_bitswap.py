"""The first Bit-Swap of drrpack, which files of versions 1.0 and 2.0 have: latents and neighbours.

Each level of codes has a chain of latents on its grid, and the likelihood of a code sees the first
of them and its neighbours of earlier phases. Neighbours told so much that the latents came to carry
next to nothing, so nothing is fitted in this form any more; see `drrpack.core.entropy.bitswap`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.entropy.latents import (
    START_SCALE,
    LatentChain,
    Moments,
    Shape,
    split_moments,
)
from drrpack.core.entropy.likelihood import Likelihood
from drrpack.core.entropy.model import register
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.entropy.phased import PhasedCoding, PhasedConfig, PhasedNetwork
from drrpack.core.frequencies import Tables
from drrpack.core.phases import Phases
from drrpack.core.stored import depth

# Where the scales start, as indices into the table. Equal ones let the chain start at no cost, and
# grow as it helps; the first latent starts informative, or the model learns to do without it.
FIRST_POSTERIOR_SCALE = 23  # 2 bins

CHANNELS_MAX = 512  # of a latent


@dataclass(frozen=True)
class PhasedBitSwapConfig(PhasedConfig):
    """Sizes of the first Bit-Swap."""

    kind: ClassVar[str] = "bitswap"

    latents: int = depth(8, may_be_zero=True)  # the paper's

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.latents:
            raise ValueError("found Bit-Swap without latents, expected 1 at least")
        channels = max(self.top_channels, self.bottom_channels)
        if channels > CHANNELS_MAX:
            raise ValueError(
                f"found latents of {channels} channels, expected {CHANNELS_MAX} at most"
            )

    def network(self) -> PhasedBitSwapNetwork:
        return PhasedBitSwapNetwork(self)


class PhasedBitSwapLevel(LatentChain):
    """One level: a chain of latents on its grid, and the likelihood of codes below the first."""

    def __init__(self, config: PhasedBitSwapConfig, conditioned: bool) -> None:
        channels = config.bottom_channels if conditioned else config.top_channels
        super().__init__(config, conditioned, channels)
        self.latents = config.latents
        context, pairs = config.width if conditioned else 0, range(config.latents - 1)
        self.infer = nn.ModuleList(self.between(config.latent_width, context) for _ in pairs)
        self.infer.insert(0, self.first_posterior(context))
        self.generate = nn.ModuleList(self.between(config.latent_width, context) for _ in pairs)
        # of p over the last latent
        self.last = nn.Parameter(torch.zeros(2 * channels, dtype=torch.float32))
        phases = Phases(config.bottom_cell if conditioned else config.top_cell)
        self.likelihood = Likelihood(config, channels, len(phases), context)
        self.output = self.make_output()
        self.phased = PhasedCoding(phases, self.embedding, self.likelihood, self.output)

    # the distributions

    def posterior(self, index: int, below: Tensor, context: Tensor | None) -> Moments:
        if index == 0:
            return split_moments(self.of_codes(below, context), FIRST_POSTERIOR_SCALE)
        return split_moments(self.infer[index](below, context), START_SCALE)

    def generated(self, index: int, above: Tensor, context: Tensor | None, like: Shape) -> Moments:
        return split_moments(self.generate[index](above, context), START_SCALE)

    def contexts(self, above: Tensor | None) -> list[Tensor | None]:
        return [self.of_top(above)] * self.latents

    def grids_of_latents(self, shape: Shape) -> list[Shape]:
        return [shape] * self.latents

    # the likelihood

    def code_bits(
        self, codes: Tensor, latent: Tensor, context: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        return self.phased.expected_bits(codes, latent, context, generator)

    def code_coder(
        self, shape: tuple[int, int, int, int], latent: Tensor, context: Tensor | None
    ) -> ans.Codec[Symbols]:
        return self.phased.coder(shape, latent, context)


class PhasedBitSwapNetwork(PhasedNetwork):
    """The networks of both levels, with latents."""

    def __init__(self, config: PhasedBitSwapConfig) -> None:
        super().__init__(
            config, PhasedBitSwapLevel(config, False), PhasedBitSwapLevel(config, True)
        )

    def model(self, tables: Tables) -> PhasedBitSwap:
        return PhasedBitSwap(self, tables)


@register
@dataclass(frozen=True)
class PhasedBitSwap(NetworkModel):
    """Codes by latents and by their neighbours."""

    kind: ClassVar[str] = "bitswap"
    versions: ClassVar[tuple[str, ...]] = ("1.0", "2.0")
    config_type: ClassVar[type[NetworkConfig]] = PhasedBitSwapConfig
