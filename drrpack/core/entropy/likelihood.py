"""The parts of a likelihood in phases: its sizes, its inputs at a position, and its networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drrpack.core.dense import IntEmbedding, IntLinear
from drrpack.core.entropy.latents import LATENT_BITS
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.exact import WEIGHT_MAX, relu
from drrpack.core.phases import SIDES
from drrpack.core.probability import BIN_MIN
from drrpack.core.stored import depth

KNOWN_REACH = 2  # codes on each side that a prediction looks at


@dataclass(frozen=True)
class LikelihoodSizes(NetworkConfig):
    """Sizes of the networks of both levels, as sections of version 2.0 hold them.

    The context model has no latents, and what is said of them below means nothing to it.
    """

    latents: int = depth(0, may_be_zero=True)
    top_cell: int = 4  # side of the cells of `drrpack.core.phases`
    bottom_cell: int = 4
    top_channels: int = 4  # of each latent, on the grid of the codes
    bottom_channels: int = 2
    latent_width: int = 16  # networks between two latents
    prediction_width: int = 128  # the likelihood, which looks at a window around each code
    blocks: int = depth(2)  # residual blocks of the likelihood

    def __post_init__(self) -> None:
        for name in ("top_cell", "bottom_cell"):
            if getattr(self, name) not in SIDES:
                raise ValueError(f"{name} is {getattr(self, name)}, and can be one of {SIDES}")


@dataclass(frozen=True)
class Places:
    """What is known at N places of a grid whose codes come next."""

    # Codes around each, nothing where they are not known yet: (N, embedding * k * k) embedded, or
    # of a frozen model (N, k * k) int64, the codes plus one.
    known: Tensor
    phase: Tensor  # (N,) int64
    latent: Tensor | None  # (N, channels * 9): the first latent around each
    context: Tensor | None  # (N, width)

    def cut(self, part: slice) -> Places:
        """Some of the places."""
        latent, context = (None if x is None else x[part] for x in (self.latent, self.context))
        return Places(self.known[part], self.phase[part], latent, context)

    @staticmethod
    def join(parts: Sequence[Places]) -> Places:
        """The places of several parts in a row."""
        if len(parts) == 1:
            return parts[0]
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

    def __init__(self, config: LikelihoodSizes, channels: int, phases: int, context: int) -> None:
        super().__init__()
        width, limit = config.prediction_width, WEIGHT_MAX
        window = (2 * KNOWN_REACH + 1) ** 2
        # numbers of float32 that a place takes, at the layer that takes most or as logits
        self.widest = max(
            config.codebook_size, width, config.embedding, 2 * window, context, 9 * channels
        )
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
