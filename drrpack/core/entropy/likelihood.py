"""The parts of a likelihood in phases: its sizes, its inputs at a position, and its networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.dense import IntEmbedding, IntLinear
from drrpack.core.exact import WEIGHT_BITS_MAX, WEIGHT_MAX, IntConv2d, relu
from drrpack.core.phases import SIDES
from drrpack.core.probability import BIN_MIN

LATENT_BITS = 3  # eight bins of a latent are 1.0 to the networks
KNOWN_REACH = 2  # codes on each side that a prediction looks at


@dataclass(frozen=True)
class NetworkSizes:
    """Sizes of the networks of both levels, as sections of version 2.0 hold them.

    The context model has no latents, and what is said of them below means nothing to it.
    """

    codebook_size: int = 512
    latents: int = 0
    top_cell: int = 4  # side of the cells of `drrpack.core.phases`
    bottom_cell: int = 4
    top_channels: int = 4  # of each latent, on the grid of the codes
    bottom_channels: int = 2
    embedding: int = 64
    width: int = 64  # networks next to the codes
    latent_width: int = 16  # networks between two latents
    prediction_width: int = 128  # the likelihood, which looks at a window around each code
    blocks: int = 2  # residual blocks of the likelihood
    weight_bits: int = WEIGHT_BITS_MAX  # weights are multiples of 2**-weight_bits at finest

    def __post_init__(self) -> None:
        for name in ("top_cell", "bottom_cell"):
            if getattr(self, name) not in SIDES:
                raise ValueError(f"{name} is {getattr(self, name)}, and can be one of {SIDES}")


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = IntConv2d(width, width, low=0, high=255)
        self.second = IntConv2d(width, width, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(relu(x)))
        return out


@dataclass(frozen=True)
class Places:
    """What is known at N places of a grid whose codes come next."""

    # Codes around each, nothing where they are not known yet: (N, embedding * k * k) embedded, or
    # of a frozen model (N, k * k) int64, the codes plus one.
    known: Tensor
    phase: Tensor  # (N,) int64
    latent: Tensor | None  # (N, channels * 9): the first latent around each
    context: Tensor | None  # (N, width)

    @staticmethod
    def join(parts: Sequence[Places]) -> Places:
        """The places of several phases in a row."""
        latents = [part.latent for part in parts if part.latent is not None]
        contexts = [part.context for part in parts if part.context is not None]
        return Places(
            torch.cat([part.known for part in parts]),
            torch.cat([part.phase for part in parts]),
            torch.cat(latents) if latents else None,
            torch.cat(contexts) if contexts else None,
        )


class Likelihood(nn.Module):
    """Vectors of codes (N, embedding), predicted from what is known at their places.

    A place is seen alone, with its windows, so a code costs the same in however many phases its
    grid is coded. ``channels`` are those of the latent beside the codes, 0 where there is none.
    """

    def __init__(self, config: NetworkSizes, channels: int, phases: int, context: int) -> None:
        super().__init__()
        width, limit = config.prediction_width, WEIGHT_MAX
        window = (2 * KNOWN_REACH + 1) ** 2
        self.known = IntLinear(config.embedding * window, width, in_max=WEIGHT_MAX)
        self.latent = (
            IntLinear(channels * 9, width, in_max=-BIN_MIN, in_bits=LATENT_BITS)
            if channels
            else None
        )
        self.context = IntLinear(context, width) if context else None
        self.phase = IntEmbedding(phases, width)
        self.first = nn.ModuleList(
            IntLinear(width, width, low=0, high=255) for _ in range(config.blocks)
        )
        self.second = nn.ModuleList(IntLinear(width, width, gain=0.3) for _ in range(config.blocks))
        self.leave = IntLinear(width, config.embedding, low=-limit, high=limit)

    def forward(self, at: Places, tables: Tensor | None) -> Tensor:
        out: Tensor = self.leave(self.hidden(at, tables))
        return out

    def hidden(self, at: Places, tables: Tensor | None) -> Tensor:
        """What the last layer sees: integers (N, prediction_width), 0 to 255."""
        known = self.known(at.known) if tables is None else self.known.looked_up(at.known, tables)
        hidden = known + self.phase(at.phase)
        if self.latent is not None:
            hidden = hidden + self.latent(at.latent)
        if self.context is not None:
            hidden = hidden + self.context(at.context)
        for first, second in zip(self.first, self.second, strict=True):
            hidden = hidden + second(first(relu(hidden)))
        return relu(hidden)


class TopContext(nn.Module):
    """What the bottom level knows of the top: codes (B, H, W) to integers (B, C, 2H, 2W)."""

    def __init__(self, config: NetworkSizes) -> None:
        super().__init__()
        self.embedding = IntEmbedding(config.codebook_size, config.embedding)
        self.enter = IntConv2d(config.embedding, config.width, in_max=WEIGHT_MAX)
        self.block = Block(config.width)
        self.leave = IntConv2d(config.width, config.width, low=0, high=255)

    def forward(self, top: Tensor) -> Tensor:
        coarse = relu(self.block(self.enter(self.embedding(top))))
        out: Tensor = self.leave(F.interpolate(coarse, scale_factor=2, mode="nearest"))
        return out
