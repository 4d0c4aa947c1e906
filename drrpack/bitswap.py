"""Bit-Swap: grids of codes <-> bits (Kingma, Abbeel, Ho, ICML 2019; paper section 4, appendix B).

Each level of codes has its own chain of latents ``z[0] ... z[7]``. The model generates downwards,
``p(z[7]) p(z[6] | z[7]) ... p(codes | z[0])``, and infers upwards, ``q(z[0] | codes)
q(z[1] | z[0]) ...``. Bit-Swap walks up that chain, popping each latent with q before pushing what
it explains with p, so that the stack never owes more than one latent.

Unlike the reference: codes are categories and not ordered numbers; they are coded in four phases,
each seeing the ones before; the bottom level is conditioned on the top, which is decoded first; and
every network is integer-exact (`drrpack.exact`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack import ans
from drrpack.exact import (
    BIN_COUNT,
    BIN_MIN,
    LOGIT_BITS,
    MEAN_UNIT,
    PRECISION,
    SCALE_COUNT,
    SCALE_STEP,
    SCALE_ZERO,
    WEIGHT_MAX,
    Categorical,
    IntConv2d,
    IntEmbedding,
    Logistic,
    relu,
    round_half_up,
)

Codes = NDArray[np.int64]

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


SMALL_GRID = 16  # codes: a fit there is short of examples, not of time


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


# --- the loss: expected bits --------------------------------------------------------------------


def expected_bits(
    model: LevelModel, codes: Tensor, top: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One sample of the bits that Bit-Swap needs for ``codes`` (B, H, W): the negative ELBO.

    Returns the bits of the codes given the first latent, and those of the latents, each (B,).
    The latents are rounded to the very bins that are coded.
    """
    context = None if model.context is None else model.context(top)
    latents, latent_bits = [], codes.new_zeros(len(codes), dtype=torch.float32)
    below = codes
    for index in range(model.latents):
        mean, scale = model.posterior(index, below, context)
        below = _sample(mean, scale, generator)
        latent_bits = latent_bits + _log2_mass(below, mean, scale)
        latents.append(below)
    for index, latent in enumerate(latents):
        above = latents[index + 1] if index + 1 < len(latents) else None
        latent_bits = latent_bits - _log2_mass(
            latent, *model.prior(index, above, latent.shape, context)
        )
    return _code_bits(model, latents[0], codes, context), latent_bits


def _code_bits(model: LevelModel, latent: Tensor, codes: Tensor, context: Tensor | None) -> Tensor:
    """Bits (B,) of the codes given the first latent.

    On a small grid each image counts every phase; on a large one it counts one of them, which one
    going by its place in the batch, four times: right on average, and a quarter of the work.
    """
    count = len(PHASES)
    every = codes[0].numel() <= SMALL_GRID
    if every:
        codes, latent = codes.repeat_interleave(count, 0), latent.repeat_interleave(count, 0)
        context = None if context is None else context.repeat_interleave(count, 0)
    phase = torch.arange(len(codes), device=codes.device) % count
    predicted = model.predict(latent, codes, phase, context)
    bits = torch.empty(len(codes), device=codes.device)
    for number, (row, column) in enumerate(PHASES):
        part = predicted[number::count, :, row::2, column::2]
        nats = model.logits(part) * (math.log(2) / 2**LOGIT_BITS)
        wanted = codes[number::count, row::2, column::2]
        spent = F.cross_entropy(nats, wanted, reduction="none").flatten(1).sum(1)
        bits[number::count] = spent / math.log(2)
    return bits.view(-1, count).sum(1) if every else bits * count


def _bins(mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    return mean / MEAN_UNIT, torch.exp2((scale - SCALE_ZERO) / SCALE_STEP)


def _sample(mean: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    centre, spread = _bins(mean, scale)
    uniform = torch.rand(mean.shape, generator=generator).clamp(1e-6, 1 - 1e-6).to(mean.device)
    return round_half_up(centre + spread * torch.logit(uniform)).clamp(
        BIN_MIN, BIN_MIN + BIN_COUNT - 1
    )


def _log2_mass(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Sum over each image of log2 of the logistic's mass in the bins ``z``."""
    centre, spread = _bins(mean, scale)
    upper, lower = (z + 0.5 - centre) / spread, (z - 0.5 - centre) / spread
    inside = torch.log(-torch.expm1(-1 / spread))
    return (F.logsigmoid(upper) + F.logsigmoid(-lower) + inside).flatten(1).sum(1) / math.log(2)


# --- the codec: one group of images, all streams at once ----------------------------------------


def group_codec(model: LevelModel, shape: tuple[int, ...], top: Tensor | None) -> ans.Codec[Codes]:
    """Bit-Swap for codes of ``shape`` (streams, images, H, W), after equations 9 to 11 there.

    ``top`` is the decoded top level (streams * images, H / 2, W / 2) for the bottom, else None.
    Networks are frozen; call inside `drrpack.exact.exact_arithmetic`.
    """
    streams, images, height, width = shape
    latent_shape = torch.Size((streams * images, model.channels, height, width))
    device = next(model.parameters()).device
    context = None if model.context is None else model.context(top)

    def posterior(index: int, below: Tensor) -> ans.Codec[Codes]:
        return _latent_codec(*model.posterior(index, below, context), streams)

    def prior(index: int, above: Tensor | None) -> ans.Codec[Codes]:
        return _latent_codec(*model.prior(index, above, latent_shape, context), streams)

    def likelihood(latent: Tensor, known: Tensor, number: int) -> ans.Codec[Codes]:
        phase = torch.full((len(known),), number, device=device)
        row, column = PHASES[number]
        predicted = model.predict(latent, known, phase, context)[:, :, row::2, column::2]
        return _code_codec(model.logits(predicted), streams)

    def push_codes(message: ans.Message, codes: Codes, latent: Tensor) -> ans.Message:
        known = torch.from_numpy(codes).reshape(-1, height, width).to(device)
        for number in _phases(height, width)[::-1]:
            row, column = PHASES[number]
            part = codes[:, :, row::2, column::2].reshape(streams, -1)
            message = likelihood(latent, known, number).push(message, part)
        return message

    def pop_codes(message: ans.Message, latent: Tensor) -> tuple[ans.Message, Codes]:
        codes = np.zeros(shape, dtype=np.int64)
        for number in _phases(height, width):
            row, column = PHASES[number]
            known = torch.from_numpy(codes).reshape(-1, height, width).to(device)
            message, part = likelihood(latent, known, number).pop(message)
            cells = codes[:, :, row::2, column::2]
            cells[:] = part.reshape(cells.shape)
        return message, codes

    def as_latent(z: Codes) -> Tensor:
        dtype = next(iter(_carriers(model)))
        return torch.from_numpy(z).view(latent_shape).to(device, dtype)

    def push(message: ans.Message, codes: Codes) -> ans.Message:
        x = torch.from_numpy(codes).reshape(-1, height, width).to(device)
        message, below = posterior(0, x).pop(message)
        message = push_codes(message, codes, as_latent(below))
        for index in range(1, model.latents):
            latent = as_latent(below)
            message, above = posterior(index, latent).pop(message)
            message = prior(index - 1, as_latent(above)).push(message, below)
            below = above
        return prior(model.latents - 1, None).push(message, below)

    def pop(message: ans.Message) -> tuple[ans.Message, Codes]:
        message, above = prior(model.latents - 1, None).pop(message)
        for index in range(model.latents - 1, 0, -1):
            message, below = prior(index - 1, as_latent(above)).pop(message)
            message = posterior(index, as_latent(below)).push(message, above)
            above = below
        message, codes = pop_codes(message, as_latent(above))
        x = torch.from_numpy(codes).reshape(-1, height, width).to(device)
        return posterior(0, x).push(message, above), codes

    return ans.Codec(push, pop)


def _phases(height: int, width: int) -> list[int]:
    """The phases that have positions in a grid; one row or column has but some of them."""
    return [n for n, (row, column) in enumerate(PHASES) if row < height and column < width]


def _carriers(model: LevelModel) -> set[torch.dtype]:
    frozen = model.embedding.frozen
    assert frozen is not None, "freeze the networks before coding with them"
    return {frozen.dtype}


def _latent_codec(mean: Tensor, scale: Tensor, streams: int) -> ans.Codec[Codes]:
    logistic = Logistic(_rows(mean, streams), _rows(scale, streams))
    return ans.intervals(logistic.count, PRECISION, logistic.interval, logistic.find)


def _code_codec(logits: Tensor, streams: int) -> ans.Codec[Codes]:
    """Logits (streams * images, K, H, W): a code for each position, K to choose from."""
    size = logits.shape[1]
    flat = logits.permute(0, 2, 3, 1).reshape(streams, -1, size)
    categorical = Categorical(flat)
    return ans.intervals(flat.shape[1], PRECISION, categorical.interval, categorical.find)


def _rows(x: Tensor, streams: int) -> NDArray[np.int64]:
    return x.reshape(streams, -1).to(torch.int64).cpu().numpy()
