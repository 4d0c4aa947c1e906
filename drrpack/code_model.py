"""The latent-variable model of one level of codes, and of both: what Bit-Swap codes with.

Codes are categories. Their likelihood is factorised in four phases over 2x2 cells; the bottom level
is conditioned on the top; all layers are those of `drrpack.exact`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.exact import WEIGHT_MAX, IntConv2d, IntEmbedding, relu, round_half_up
from drrpack.probability import BIN_MIN, LOGIT_BITS, SCALE_COUNT

LATENT_BITS = 3  # eight bins of a latent are 1.0 to the networks
PARAMETER_BITS = 6  # a network's 1.0 moves a mean by eight bins: the unit of MEAN_UNIT
# Where the scales start, as indices into the table. Equal ones let the chain start at no cost, and
# grow as it helps; the first latent starts informative, or the model learns to do without it.
FIRST_POSTERIOR_SCALE = 23  # 2 bins
START_SCALE = 35  # 4.6 bins


@dataclass(frozen=True)
class BitSwapConfig:
    """Size of the two models. One megabyte and a half in all; the paper's take 13.4."""

    codebook_size: int = 512
    latents: int = 8  # the paper's
    top_channels: int = 4  # of each latent, on the grid of the codes
    bottom_channels: int = 2
    embedding: int = 64
    width: int = 64  # networks next to the codes
    latent_width: int = 32  # networks between two latents; there are fourteen
    blocks: int = 1  # residual blocks of the likelihood


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = IntConv2d(width, width, low=0, high=255)
        self.second = IntConv2d(width, width, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(relu(x)))
        return out


class _Network(nn.Module):
    """Integers (B, inputs, H, W), and a context beside them, to integers (B, outputs, H, W)."""

    def __init__(
        self, enter: IntConv2d, width: int, blocks: int, context: int, leave: IntConv2d
    ) -> None:
        super().__init__()
        self.enter, self.leave = enter, leave
        self.context = IntConv2d(context, width, 1) if context else None
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))

    def forward(self, x: Tensor, context: Tensor | None, beside: Tensor | None = None) -> Tensor:
        hidden = self.enter(x)
        if self.context is not None:
            hidden = hidden + self.context(context)
        if beside is not None:
            hidden = hidden + beside
        for block in self.blocks:
            hidden = block(hidden)
        out: Tensor = self.leave(relu(hidden))
        return out


# Codes are coded in four phases, each seeing the ones before it: corners of 2x2 cells, the opposite
# corners, then the two others. (row, column) of each phase within a cell.
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))


def phase_grid(shape: Sequence[int], device: torch.device) -> Tensor:
    """The phase of each position of a grid (H, W), int64."""
    cell = torch.zeros(2, 2, dtype=torch.int64, device=device)
    for number, (row, column) in enumerate(PHASES):
        cell[row, column] = number
    height, width = shape
    return cell.repeat(-(-height // 2), -(-width // 2))[:height, :width]


class Context(nn.Module):
    """What the bottom level knows of the top: codes (B, H, W) to integers (B, C, 2H, 2W)."""

    def __init__(self, config: BitSwapConfig) -> None:
        super().__init__()
        self.embedding = IntEmbedding(config.codebook_size, config.embedding)
        self.enter = IntConv2d(config.embedding, config.width, in_max=WEIGHT_MAX)
        self.block = _Block(config.width)
        self.leave = IntConv2d(config.width, config.width, low=0, high=255)

    def forward(self, top: Tensor) -> Tensor:
        coarse = relu(self.block(self.enter(self.embedding(top))))
        out: Tensor = self.leave(F.interpolate(coarse, scale_factor=2, mode="nearest"))
        return out


class LevelModel(nn.Module):
    """The latent-variable model of one level of codes, conditioned on the top or not."""

    def __init__(self, config: BitSwapConfig, channels: int, conditioned: bool) -> None:
        super().__init__()
        self.config, self.channels = config, channels
        context = config.width if conditioned else 0
        self.context = Context(config) if conditioned else None
        self.embedding = IntEmbedding(config.codebook_size, config.embedding)
        pairs = range(config.latents - 1)
        self.infer = nn.ModuleList(
            [
                self._first_posterior(context),
                *(self._between_latents(context) for _ in pairs),
            ]
        )
        self.generate = nn.ModuleList(
            [self._prediction(context), *(self._between_latents(context) for _ in pairs)]
        )
        self.known = IntConv2d(config.embedding, config.width, in_max=WEIGHT_MAX)
        self.phase = IntEmbedding(len(PHASES), config.width)
        limits = {"in_max": WEIGHT_MAX, "low": -512, "high": 511}
        self.output = IntConv2d(
            config.embedding, config.codebook_size, 1, out_bits=LOGIT_BITS, gain=0.3, **limits
        )
        self.last = nn.Parameter(torch.zeros(2 * channels))  # of p over the last latent

    def _moments(self, width: int, gain: float = 0.1) -> IntConv2d:
        limits = {"low": -512, "high": 511}
        return IntConv2d(width, 2 * self.channels, out_bits=PARAMETER_BITS, gain=gain, **limits)

    def _from_latent(self, width: int) -> IntConv2d:
        return IntConv2d(self.channels, width, in_max=-BIN_MIN, in_bits=LATENT_BITS)

    def _first_posterior(self, context: int) -> _Network:
        width = self.config.width
        enter = IntConv2d(self.config.embedding, width, in_max=WEIGHT_MAX)
        return _Network(enter, width, 1, context, self._moments(width, gain=1.0))

    def _between_latents(self, context: int) -> _Network:
        width = self.config.latent_width
        return _Network(self._from_latent(width), width, 1, context, self._moments(width))

    def _prediction(self, context: int) -> _Network:
        width, limit = self.config.width, WEIGHT_MAX
        leave = IntConv2d(width, self.config.embedding, 1, low=-limit, high=limit)
        return _Network(self._from_latent(width), width, self.config.blocks, context, leave)

    def start_from(self, codebook: Tensor, frequency: Tensor) -> None:
        """Begin with the geometry of the VQ-VAE's ``codebook`` (K, D) and the codes' frequencies.

        Codes go in as their vectors, and the logit of a code is its frequency plus its vector
        times a predicted one: near codes are alike from the first step, the latents find a use at
        once, and a short fit is no worse than a table. ``frequency`` is (K,), of any scale.
        """
        dim = self.config.embedding
        centred = codebook - codebook.mean(0)
        _, _, axes = torch.linalg.svd(centred, full_matrices=False)
        vectors = centred @ axes[:dim].t()
        vectors = F.pad(vectors / vectors.std().clamp_min(1e-6), (0, dim - vectors.shape[1]))
        sharpness = 10.0 / dim  # bits between a code and its opposite half
        with torch.no_grad():
            self.embedding.weight.copy_(vectors)
            self.output.weight.copy_(sharpness * vectors[:, :, None, None])
            self.output.bias.copy_(torch.log2(frequency.clamp_min(0.5) / frequency.sum()))

    @property
    def latents(self) -> int:
        return self.config.latents

    def posterior(self, index: int, below: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and scale of q for latent ``index``; ``below`` are the codes for index 0."""
        if index == 0:
            raw = self.infer[0](self.embedding(below), context)
            return self._split(raw, FIRST_POSTERIOR_SCALE)
        return self._split(self.infer[index](below, context), START_SCALE)

    def prior(
        self, index: int, above: Tensor | None, shape: torch.Size, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Mean and scale of p for latent ``index`` of ``shape``; ``above`` is the next latent."""
        if above is not None:
            return self._split(self.generate[index + 1](above, context), START_SCALE)
        raw = self._last_rounded()
        whole = raw[None, :, None, None].expand(shape[0], -1, *shape[2:])
        return self._split(whole, START_SCALE)

    def _last_rounded(self) -> Tensor:
        return round_half_up(self.last * 2.0**PARAMETER_BITS).clamp(-512, 511)

    def last_integers(self) -> NDArray[np.int64]:
        """The parameters of p over the last latent, (2 * channels,): means, then scales."""
        return self._last_rounded().detach().to(torch.int64).cpu().numpy()

    def load_last(self, values: NDArray[np.integer]) -> None:
        """The inverse of `last_integers`."""
        with torch.no_grad():
            self.last.copy_(torch.from_numpy(values.astype(np.float32)) * 2.0**-PARAMETER_BITS)

    def predict(
        self, latent: Tensor, codes: Tensor, phase: Tensor, context: Tensor | None
    ) -> Tensor:
        """Predicted vectors (B, embedding, H, W) of the codes.

        ``phase`` (B,) says which codes are to be coded next; of ``codes`` (B, H, W) only those of
        earlier phases are looked at.
        """
        earlier = phase_grid(codes.shape[1:], codes.device) < phase[:, None, None]
        known = self.known(self.embedding(codes) * earlier[:, None])
        beside = known + self.phase(phase[:, None, None])
        out: Tensor = self.generate[0](latent, context, beside)
        return out

    def logits(self, predicted: Tensor) -> Tensor:
        """Predicted vectors (B, embedding, H, W) to logits (B, codebook_size, H, W) in sixteenths
        of a bit; the grid may be a part of the whole."""
        out: Tensor = self.output(predicted)
        return out

    def _split(self, raw: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Means in eighths of a bin, and indices into the table of scales."""
        mean, scale = raw[:, : self.channels], raw[:, self.channels :]
        return mean, (round_half_up(scale / 4) + start).clamp(0, SCALE_COUNT - 1)


class BitSwap(nn.Module):
    """The two models, top and bottom."""

    def __init__(self, config: BitSwapConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BitSwapConfig()
        self.top = LevelModel(config, config.top_channels, conditioned=False)
        self.bottom = LevelModel(config, config.bottom_channels, conditioned=True)

    def start_from(
        self, codebooks: tuple[Tensor, Tensor], frequencies: tuple[Tensor, Tensor]
    ) -> None:
        """Begin with what is known of top and bottom codes; see `LevelModel.start_from`."""
        for level, codebook, frequency in zip(
            (self.top, self.bottom), codebooks, frequencies, strict=True
        ):
            level.start_from(codebook, frequency)
        assert self.bottom.context is not None
        with torch.no_grad():
            self.bottom.context.embedding.weight.copy_(self.top.embedding.weight)
