"""Bit-Swap: grids of codes <-> bits (Kingma, Abbeel, Ho, ICML 2019; paper section 4, appendix B).

Each level of codes has its own chain of latents ``z[0] ... z[7]``, on coarser and coarser grids.
The model generates downwards, ``p(z[7]) p(z[6] | z[7]) ... p(codes | z[0])``, and infers upwards,
``q(z[0] | codes) q(z[1] | z[0]) ...``. Bit-Swap goes up that chain. It pops each latent with q
before it pushes the variable below with p, so it never borrows the bits of more than one latent.

Codes see no neighbours: all that is common to them goes through the latents. This differs from the
reference in four ways: codes are categories and not ordered numbers; the bottom level is
conditioned on the top level, which is decoded first; a network between two latents says what
differs from the latent that it is given; and every network is exact in integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.by_rows import NUMBERS_AT_ONCE, by_rows
from drrpack.core.codes import Levels
from drrpack.core.convolution import IntConv2d
from drrpack.core.dense import IntLinear
from drrpack.core.entropy.combine import in_blocks, in_turn
from drrpack.core.entropy.latents import (
    LATENT_BITS,
    MEAN_MAX,
    MEAN_MIN,
    LatentChain,
    Moments,
    Shape,
    split_moments,
)
from drrpack.core.entropy.model import register
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import (
    COUNTED,
    Block,
    BothLevels,
    NetworkConfig,
    bits_of,
    categorical,
)
from drrpack.core.exact import WEIGHT_MAX, relu
from drrpack.core.frequencies import Tables
from drrpack.core.probability import BIN_MIN, MEAN_UNIT
from drrpack.core.stored import depth

# Where the scales start, as indices into the table. Latents start as noisy copies of the latent
# below, and the first one knows much of the codes, or the model learns to do without it.
FIRST_POSTERIOR_SCALE = 20  # 1.6 bins
BETWEEN_SCALE = 29  # 3 bins
# At first a fit from random weights counts little of what latents take. Otherwise they give up
# what they know before the likelihood has learned to use it.
WARM_UP = 0.15  # of the budget
WARM_UP_FROM = 0.03
# Codes of a stream that are coded at once, in whole rows: bounds memory. docs/format.md fixes it.
CODED_AT_ONCE = 128
LATENT_CHANNELS_MAX = 64


@dataclass(frozen=True)
class BitSwapConfig(NetworkConfig):
    """Sizes of Bit-Swap."""

    kind: ClassVar[str] = "bitswap"

    latents: int = depth(8, may_be_zero=True)  # the paper's
    # latents in a row on one grid; the next has half its sides, rounded up
    same_grid: int = depth(2)
    channels: int = 4  # of each latent
    latent_width: int = 32  # networks between two latents
    prediction_width: int = 64  # the likelihood
    blocks: int = depth(2)  # residual blocks of the likelihood

    def __post_init__(self) -> None:
        if not self.latents:
            raise ValueError("found Bit-Swap without latents, expected 1 at least")
        if self.channels > LATENT_CHANNELS_MAX:
            raise ValueError(
                f"found latents of {self.channels} channels, expected {LATENT_CHANNELS_MAX} at most"
            )

    def network(self) -> BitSwapNetwork:
        return BitSwapNetwork(self)


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


class BitSwapLevel(LatentChain):
    """One level: a chain of latents, and the likelihood of codes given the first of them."""

    config: BitSwapConfig

    def __init__(self, config: BitSwapConfig, conditioned: bool) -> None:
        super().__init__(config, conditioned, config.channels)
        self.halved = [index // config.same_grid for index in range(config.latents)]  # how often
        context, between = config.width if conditioned else 0, config.latent_width
        self.infer = nn.ModuleList([self.first_posterior(context)])
        self.generate = nn.ModuleList()
        for below, above in pairwise(self.halved):
            self.infer.append(self.between(between, context, 4 if above > below else 1))
            self.generate.append(self.between(between, context))
        self.last = nn.Parameter(torch.zeros(2 * config.channels, dtype=torch.float32))
        sizes = (config.prediction_width, config.blocks, context, config.embedding)
        self.likelihood = LatentLikelihood(config.channels, *sizes)
        self.output = self.make_output()

    # the distributions

    def contexts(self, above: Tensor | None) -> list[Tensor | None]:
        """What is known of the top, on the grid of each latent."""
        found = [self.of_top(above)]
        for _ in range(self.halved[-1]):
            finer = found[-1]
            found.append(None if finer is None else _halved(finer))
        return [found[times] for times in self.halved]

    def posterior(self, index: int, below: Tensor, context: Tensor | None) -> Moments:
        """Mean and scale of q for latent ``index``; ``below`` are the codes for index 0."""
        if index == 0:
            return split_moments(self.of_codes(below, context), FIRST_POSTERIOR_SCALE)
        if self.halved[index] == self.halved[index - 1]:
            copied, seen = below * MEAN_UNIT, below
        else:
            seen = _folded(below)
            copied = seen.view(len(seen), self.channels, 4, *seen.shape[2:]).sum(2) * (
                MEAN_UNIT // 4
            )
        return _moved(copied, split_moments(self.infer[index](seen, context), BETWEEN_SCALE))

    def generated(self, index: int, above: Tensor, context: Tensor | None, like: Shape) -> Moments:
        """Mean and scale of p for latent ``index`` of the grid ``like``, given the one above it."""
        if self.halved[index + 1] > self.halved[index]:
            above = F.interpolate(above, scale_factor=2, mode="nearest")[..., : like[0], : like[1]]
        raw = self.generate[index](above, context)
        return _moved(above * MEAN_UNIT, split_moments(raw, BETWEEN_SCALE))

    def grids_of_latents(self, shape: Shape) -> list[Shape]:
        """The grid of each latent, for codes of ``shape`` (H, W)."""
        sides = [tuple(-(-side // 2**times) for side in shape) for times in self.halved]
        return [(height, width) for height, width in sides]

    # the loss: expected bits

    def loss(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator, fraction: float
    ) -> tuple[Tensor, Tensor]:
        of_codes, of_latents = self.parts_of_bits(codes, above, generator)
        counted = min(1.0, WARM_UP_FROM + (1 - WARM_UP_FROM) * fraction / WARM_UP)
        return of_codes + counted * of_latents, of_codes + of_latents

    def code_bits(
        self, codes: Tensor, latent: Tensor, context: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Bits (B,) of the codes given the first latent: right on average.

        Of large grids one code in several counts, and stands for those between.
        """
        apart = max(1, codes[0].numel() // COUNTED)
        first = int(torch.randint(apart, (), generator=generator))
        vectors = self.likelihood(latent, context).view(len(codes), codes[0].numel(), -1)
        some, wanted = vectors[:, first::apart], codes.flatten(1)[:, first::apart]
        spent = bits_of(self.output(some.flatten(0, 1)), wanted.flatten())
        return apart * spent.view(len(codes), -1).sum(1)

    # the coder

    def vectors(self, latent: Tensor, context: Tensor | None) -> Tensor:
        """What the likelihood makes of the first latent (B, channels, H, W): (B, H, W, embedding),
        in bytes where it is large."""

        def network(latent: Tensor, context: Tensor | None) -> Tensor:
            found: Tensor = self.likelihood(latent, context)
            return found.view(len(latent), *latent.shape[2:], -1).permute(0, 3, 1, 2)

        config = self.config
        reach = 1 + 2 * config.blocks
        widest = max(config.prediction_width, config.width, config.embedding)
        return by_rows(network, (latent, context), reach, widest, torch.int8).permute(0, 2, 3, 1)

    def code_coder(
        self, shape: tuple[int, int, int, int], latent: Tensor, context: Tensor | None
    ) -> ans.Codec[Symbols]:
        streams, images, height, width = shape
        vectors = self.vectors(latent, context).view(streams, images, height, width, -1)
        rows = max(1, CODED_AT_ONCE // (images * width))
        starts = range(0, height, rows)
        at_once = max(1, NUMBERS_AT_ONCE // (streams * self.config.codebook_size))

        def given(number: int, _: Symbols) -> ans.Codec[Symbols]:
            of_rows = vectors[:, :, starts[number] : starts[number] + rows].flatten(1, 3)

            def codec_of(columns: slice) -> ans.Codec[Symbols]:
                some = of_rows[:, columns].flatten(0, 1).to(latent.dtype)
                return categorical(self.output(some).view(streams, -1, self.config.codebook_size))

            return in_blocks(of_rows.shape[1], at_once, codec_of)

        return in_turn(shape, [partial(_rows, start, rows) for start in starts], given)


def _rows(start: int, count: int, grids: Symbols) -> Symbols:
    return grids[..., start : start + count, :]


def _halved(context: Tensor) -> Tensor:
    """The largest of each 2 x 2 positions of a context (B, C, H, W), as far as there are any."""
    if context.is_floating_point():
        return F.max_pool2d(context, 2, ceil_mode=True)
    height, width = context.shape[2:]  # of bytes PyTorch has no pooling on every device
    padded = F.pad(context, (0, width % 2, 0, height % 2))
    rows = torch.maximum(padded[:, :, ::2], padded[:, :, 1::2])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _folded(z: Tensor) -> Tensor:
    """Latents (B, C, H, W) on a grid of half the sides, rounded up: (B, C * 4, H / 2, W / 2);
    zeros lie outside of the grid."""
    height, width = z.shape[2:]
    return F.pixel_unshuffle(F.pad(z, (0, width % 2, 0, height % 2)), 2)


def _moved(mean: Tensor, by: Moments) -> Moments:
    return (mean + by[0]).clamp(MEAN_MIN, MEAN_MAX), by[1]


class BitSwapNetwork(BothLevels):
    """The networks of both levels."""

    config: BitSwapConfig
    top: BitSwapLevel
    bottom: BitSwapLevel

    def __init__(self, config: BitSwapConfig) -> None:
        super().__init__(config, BitSwapLevel(config, False), BitSwapLevel(config, True))

    @property
    def levels(self) -> Levels[BitSwapLevel]:
        return Levels(self.top, self.bottom)

    def model(self, tables: Tables) -> BitSwap:
        return BitSwap(self, tables)


@register
@dataclass(frozen=True)
class BitSwap(NetworkModel):
    """Codes by latents alone."""

    kind: ClassVar[str] = "bitswap"
    versions: ClassVar[tuple[str, ...]] = ("3.0",)
    config_type: ClassVar[type[NetworkConfig]] = BitSwapConfig
