"""The model of one level of codes, and of both: what entropy coding rests on.

Codes are categories. Their likelihood is factorised in phases (`drrpack.core.phases`); the bottom
level is conditioned on the top; all layers are those of `drrpack.core.exact`. In Bit-Swap a chain
of latents stands above the likelihood; without latents the model is the likelihood alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.exact import (
    WEIGHT_BITS_MAX,
    WEIGHT_MAX,
    IntConv2d,
    IntEmbedding,
    IntLinear,
    int_layers,
    relu,
    round_half_up,
)
from drrpack.core.phases import SIDES, Phases
from drrpack.core.probability import BIN_MIN, LOGIT_BITS, SCALE_COUNT

LATENT_BITS = 3  # eight bins of a latent are 1.0 to the networks
PARAMETER_BITS = 6  # a network's 1.0 moves a mean by eight bins: the unit of MEAN_UNIT
KNOWN_REACH = 2  # codes on each side that a prediction looks at
# Where the scales start, as indices into the table. Equal ones let the chain start at no cost, and
# grow as it helps; the first latent starts informative, or the model learns to do without it.
FIRST_POSTERIOR_SCALE = 23  # 2 bins
START_SCALE = 35  # 4.6 bins


@dataclass(frozen=True)
class BitSwapConfig:
    """Size of the two models. One megabyte and a half in all; the paper's take 13.4 MiB."""

    codebook_size: int = 512
    latents: int = 8  # the paper's; 0 for context alone
    top_cell: int = 4  # side of the cells of `drrpack.core.phases`
    bottom_cell: int = 4
    top_channels: int = 4  # of each latent, on the grid of the codes
    bottom_channels: int = 2
    embedding: int = 64
    width: int = 64  # networks next to the codes
    latent_width: int = 16  # networks between two latents; there are fourteen
    prediction_width: int = 128  # the likelihood, which looks at a window around each code
    blocks: int = 2  # residual blocks of the likelihood
    weight_bits: int = WEIGHT_BITS_MAX  # weights are multiples of 2**-weight_bits at finest

    @property
    def kind(self) -> str:
        """What the model is called: ``bitswap``, or ``context`` where it has no latents."""
        return "bitswap" if self.latents else "context"

    def __post_init__(self) -> None:
        for name in ("top_cell", "bottom_cell"):
            if getattr(self, name) not in SIDES:
                raise ValueError(f"{name} is {getattr(self, name)}, and can be one of {SIDES}")


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

    def __init__(self, enter: IntConv2d, width: int, context: int, leave: IntConv2d) -> None:
        super().__init__()
        self.enter, self.leave = enter, leave
        self.context = IntConv2d(context, width, 1) if context else None
        self.block = _Block(width)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        hidden = self.enter(x)
        if self.context is not None:
            hidden = hidden + self.context(context)
        out: Tensor = self.leave(relu(self.block(hidden)))
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


class _Likelihood(nn.Module):
    """Vectors of codes (N, embedding), predicted from what is known at their places.

    A place is seen alone, with its windows, so a code costs the same in however many phases its
    grid is coded.
    """

    def __init__(self, config: BitSwapConfig, channels: int, phases: int, context: int) -> None:
        super().__init__()
        width, limit = config.prediction_width, WEIGHT_MAX
        window = (2 * KNOWN_REACH + 1) ** 2
        self.known = IntLinear(config.embedding * window, width, in_max=WEIGHT_MAX)
        limits = {"in_max": -BIN_MIN, "in_bits": LATENT_BITS}
        self.latent = IntLinear(channels * 9, width, **limits) if config.latents else None
        self.context = IntLinear(context, width) if context else None
        self.phase = IntEmbedding(phases, width)
        self.first = nn.ModuleList(
            IntLinear(width, width, low=0, high=255) for _ in range(config.blocks)
        )
        self.second = nn.ModuleList(IntLinear(width, width, gain=0.3) for _ in range(config.blocks))
        self.leave = IntLinear(width, config.embedding, low=-limit, high=limit)

    def forward(self, at: Places, tables: Tensor | None) -> Tensor:
        known = self.known(at.known) if tables is None else self.known.looked_up(at.known, tables)
        hidden = known + self.phase(at.phase)
        if self.latent is not None:
            hidden = hidden + self.latent(at.latent)
        if self.context is not None:
            hidden = hidden + self.context(at.context)
        for first, second in zip(self.first, self.second, strict=True):
            hidden = hidden + second(first(relu(hidden)))
        out: Tensor = self.leave(relu(hidden))
        return out


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
    """The model of one level of codes, with latents or not, conditioned on the top or not."""

    def __init__(self, config: BitSwapConfig, channels: int, cell: int, conditioned: bool) -> None:
        super().__init__()
        self.config, self.channels, self.conditioned = config, channels, conditioned
        self.phases = Phases(cell)
        context = config.width if conditioned else 0
        self.context = Context(config) if conditioned else None
        self.embedding = IntEmbedding(config.codebook_size, config.embedding)
        pairs = range(config.latents - 1)
        self.infer = nn.ModuleList(self._between_latents(context) for _ in pairs)
        if config.latents:
            self.infer.insert(0, self._first_posterior(context))
        self.generate = nn.ModuleList(self._between_latents(context) for _ in pairs)
        self.likelihood = _Likelihood(config, channels, len(self.phases), context)
        limits = {"in_max": WEIGHT_MAX, "low": -512, "high": 511}
        self.output = IntLinear(
            config.embedding, config.codebook_size, out_bits=LOGIT_BITS, gain=0.3, **limits
        )
        # The tables that are made once of a frozen embedding and its weights, after these two; one
        # attribute, so that other threads see all of it or nothing.
        self._made: tuple[Tensor, Tensor, Tensor] | None = None
        # of p over the last latent
        self.last = nn.Parameter(
            torch.zeros(2 * channels if config.latents else 0, dtype=torch.float32)
        )

    def _moments(self, width: int, gain: float = 0.1) -> IntConv2d:
        limits = {"low": -512, "high": 511}
        return IntConv2d(width, 2 * self.channels, out_bits=PARAMETER_BITS, gain=gain, **limits)

    def _first_posterior(self, context: int) -> _Network:
        width = self.config.width
        enter = IntConv2d(self.config.embedding, width, in_max=WEIGHT_MAX)
        return _Network(enter, width, context, self._moments(width, gain=1.0))

    def _between_latents(self, context: int) -> _Network:
        width = self.config.latent_width
        enter = IntConv2d(self.channels, width, in_max=-BIN_MIN, in_bits=LATENT_BITS)
        return _Network(enter, width, context, self._moments(width))

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
            self.output.weight.copy_(sharpness * vectors)
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
            return self._split(self.generate[index](above, context), START_SCALE)
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

    def places(
        self, number: int, codes: Tensor, latent: Tensor | None, context: Tensor | None
    ) -> Places:
        """All that may be known when the codes of phase ``number`` are coded.

        Of ``codes`` (B, H, W) only those of earlier phases are looked at. ``latent`` is the first
        one where there are any, ``context`` that of the bottom level, both (B, C, H, W).
        """
        earlier = self.phases.grid(codes.shape[1:], codes.device) < number  # (H, W)
        if self.embedding.frozen is None:
            known = self.phases.windows(self.embedding(codes) * earlier, number, KNOWN_REACH)
        else:
            known = self.phases.neighbours((codes + 1) * earlier, number, KNOWN_REACH)
        return Places(
            known,
            torch.full((len(known),), number, device=codes.device),
            None if latent is None else self.phases.windows(latent, number, 1),
            None if context is None else self.phases.windows(context, number, 0),
        )

    def logits(self, at: Places) -> Tensor:
        """Logits (N, codebook_size) of the codes at N places, in sixteenths of a bit."""
        tables = None if at.known.is_floating_point() else self._tables()
        out: Tensor = self.output(self.likelihood(at, tables))
        return out

    def _tables(self) -> Tensor:
        """What each code adds to the first sums of the likelihood, at each place of a window."""
        embedding, known = self.embedding.frozen, self.likelihood.known
        assert embedding is not None and known.frozen is not None
        weight, made = known.frozen[0], self._made
        if made is None or made[0] is not embedding or made[1] is not weight:
            self._made = made = embedding, weight, known.tables(embedding)
        return made[2]

    def _split(self, raw: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Means in eighths of a bin, and indices into the table of scales."""
        mean, scale = raw[:, : self.channels], raw[:, self.channels :]
        return mean, (round_half_up(scale / 4) + start).clamp(0, SCALE_COUNT - 1)


class BitSwap(nn.Module):
    """The two models, top and bottom."""

    def __init__(self, config: BitSwapConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BitSwapConfig()
        self.top = LevelModel(config, config.top_channels, config.top_cell, conditioned=False)
        self.bottom = LevelModel(
            config, config.bottom_channels, config.bottom_cell, conditioned=True
        )
        for layer in int_layers(self).values():
            if isinstance(layer, IntConv2d):
                layer.finest = config.weight_bits

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

    def start_likelihood_from(self, other: BitSwap) -> bool:
        """Begin with the likelihood of another model, which may have latents or not; says whether
        the two are of one size, and nothing is taken over otherwise."""
        if _likelihood_size(self.config) != _likelihood_size(other.config):
            return False
        own = self.state_dict()
        shared = {
            name: value
            for name, value in other.state_dict().items()
            if name in own and own[name].shape == value.shape
        }
        self.load_state_dict(shared, strict=False)
        return True


def _likelihood_size(config: BitSwapConfig) -> BitSwapConfig:
    """All that the shapes of a likelihood depend on."""
    free = ("latents", "top_channels", "bottom_channels", "latent_width", "weight_bits")
    return replace(config, **{name: 0 for name in free})
