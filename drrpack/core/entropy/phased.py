"""The likelihood of codes, phase by phase, which Bit-Swap and the context model share.

Codes are categories. Their likelihood is factorised into phases (`drrpack.core.phases`); the bottom
level is conditioned on the top; all layers are those of `drrpack.core.exact`. The context model is
this likelihood alone; Bit-Swap adds a chain of latents above it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core import ans
from drrpack.core.codes import Levels
from drrpack.core.dense import IntEmbedding, IntLinear
from drrpack.core.entropy.combine import Symbols, in_turn
from drrpack.core.entropy.likelihood import (
    KNOWN_REACH,
    Likelihood,
    NetworkSizes,
    Places,
    TopContext,
)
from drrpack.core.entropy.model import EntropyModel
from drrpack.core.exact import WEIGHT_MAX, IntConv2d
from drrpack.core.freezing import int_layers
from drrpack.core.frequencies import Tables
from drrpack.core.phases import Phases
from drrpack.core.probability import LOGIT_BITS, PRECISION, Categorical

COUNTED = 64  # codes of an image that one step of a fit looks at: all those of a small image


@dataclass(frozen=True)
class PhasedConfig(NetworkSizes, ABC):
    """What fixes the networks of a kind."""

    kind: ClassVar[str]

    @abstractmethod
    def network(self) -> PhasedNetwork:
        """A network of these sizes, with random weights."""


class LevelNetwork(nn.Module):
    """The likelihood of one level of codes; implements `drrpack.core.entropy.model.LevelModel`.

    Args:
        conditioned: whether the top level is known: this is the bottom then.
    """

    def __init__(self, config: PhasedConfig, conditioned: bool) -> None:
        super().__init__()
        self.config, self.conditioned = config, conditioned
        self.phases = Phases(config.bottom_cell if conditioned else config.top_cell)
        context = config.width if conditioned else 0
        self.context = TopContext(config) if conditioned else None
        self.embedding = IntEmbedding(config.codebook_size, config.embedding)
        channels = self.add_latents(context)
        self.likelihood = Likelihood(config, channels, len(self.phases), context)
        self.output = IntLinear(
            config.embedding, config.codebook_size,
            in_max=WEIGHT_MAX, low=-512, high=511, out_bits=LOGIT_BITS, gain=0.3,
        )  # fmt: skip
        # The tables that are made once of a frozen embedding and its weights, after these two; one
        # attribute, so that other threads see all of it or nothing.
        self._made: tuple[Tensor, Tensor, Tensor] | None = None

    def add_latents(self, context: int) -> int:
        """Make the networks of latents, whose place is here in the order in which layers are stored
        and drawn; returns the channels of the latent that the likelihood sees, 0 for none."""
        return 0

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

    def of_top(self, above: Tensor | None) -> Tensor | None:
        """What is known of the top level, from its codes (B, H / 2, W / 2): (B, width, H, W)."""
        return None if self.context is None else self.context(above)

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
        out: Tensor = self.output(self.likelihood(at, self._tables_for(at)))
        return out

    def hidden(self, at: Places) -> Tensor:
        """What the last two layers make `logits` of: integers (N, prediction_width)."""
        return self.likelihood.hidden(at, self._tables_for(at))

    def _tables_for(self, at: Places) -> Tensor | None:
        return None if at.known.is_floating_point() else self._tables()

    def _tables(self) -> Tensor:
        """What each code adds to the first sums of the likelihood, at each place of a window."""
        embedding, known = self.embedding.frozen, self.likelihood.known
        assert embedding is not None and known.frozen is not None
        weight, made = known.frozen[0], self._made
        if made is None or made[0] is not embedding or made[1] is not weight:
            self._made = made = embedding, weight, known.tables(embedding)
        return made[2]

    # the loss

    def expected_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The bits (B,) of codes (B, H, W): an estimate that is right on average."""
        return self.code_bits(codes, None, self.of_top(above), generator)

    def code_bits(
        self,
        codes: Tensor,
        latent: Tensor | None,
        context: Tensor | None,
        generator: torch.Generator,
        counted: int = COUNTED,
    ) -> Tensor:
        """Bits (B,) of the codes given the first latent, if any: right on average.

        Of grids with more than ``counted`` codes each phase counts one image in several, which
        stands for those between.
        """
        apart = min(len(codes), max(1, codes[0].numel() // counted))
        first = int(torch.randint(apart, (), generator=generator))
        numbers = self.phases.within(codes.shape[1:])
        some = [slice((number + first) % apart, None, apart) for number in numbers]
        places = Places.join(
            [
                self.places(n, codes[s], *(None if x is None else x[s] for x in (latent, context)))
                for n, s in zip(numbers, some, strict=True)
            ]
        )
        wanted = [self.phases.part(codes[s], n) for n, s in zip(numbers, some, strict=True)]
        nats = self.logits(places) * (math.log(2) / 2**LOGIT_BITS)  # (N, K)
        every = torch.cat([part.reshape(-1) for part in wanted])
        spent = F.cross_entropy(nats, every, reduction="none") / math.log(2)
        bits = torch.zeros(len(codes), dtype=torch.float32, device=codes.device)
        parts = torch.split(spent, [part.numel() for part in wanted])
        for s, part in zip(some, parts, strict=True):
            bits[s] = bits[s] + apart * part.view(len(bits[s]), -1).sum(1)
        return bits

    # the coder

    @property
    def device(self) -> torch.device:
        return self.output.weight.device

    def coder(self, shape: tuple[int, int, int, int], above: Tensor | None) -> ans.Codec[Symbols]:
        """Codes of ``shape`` (streams, images, H, W), each given those of earlier phases."""
        return self.code_coder(shape, None, self.of_top(above))

    def code_coder(
        self, shape: tuple[int, int, int, int], latent: Tensor | None, context: Tensor | None
    ) -> ans.Codec[Symbols]:
        """The codec of codes given the first latent, if any, phase by phase."""
        assert self.embedding.frozen is not None, "freeze the networks before coding with them"
        numbers = self.phases.within(shape[2:])

        def given(index: int, known: Symbols) -> ans.Codec[Symbols]:
            x = self.grids(known)
            logits = self.logits(self.places(numbers[index], x, latent, context))
            return categorical(logits.view(shape[0], -1, logits.shape[1]))

        parts = [partial(self.phases.part, number=number) for number in numbers]
        return in_turn(shape, parts, given)

    def grids(self, codes: Symbols) -> Tensor:
        """Codes (streams, images, H, W) as the networks take them: (streams * images, H, W)."""
        return torch.from_numpy(codes).reshape(-1, *codes.shape[2:]).to(self.device)

    # parameters of latents, which are stored beside the layers; this base class has no latents

    @property
    def last_size(self) -> int:
        """How many parameters p over the last latent has."""
        return 0

    def last_integers(self) -> NDArray[np.int64]:
        """The parameters of p over the last latent, (2 * channels,)."""
        return np.empty(0, np.int64)

    def load_last(self, values: NDArray[np.integer]) -> None:
        """The inverse of `last_integers`."""


def categorical(logits: Tensor) -> ans.Codec[Symbols]:
    """Logits (streams, n, K): n codes for each stream, K to choose from."""
    codes = Categorical(logits)
    return ans.intervals(logits.shape[1], PRECISION, codes.interval, codes.find)


class PhasedNetwork(nn.Module, ABC):
    """The networks of both levels."""

    level: type[LevelNetwork] = LevelNetwork

    def __init__(self, config: PhasedConfig) -> None:
        super().__init__()
        self.config = config
        self.top = self.level(config, conditioned=False)
        self.bottom = self.level(config, conditioned=True)
        for layer in int_layers(self).values():
            if isinstance(layer, IntConv2d):
                layer.finest = config.weight_bits

    @property
    def levels(self) -> Levels[LevelNetwork]:
        return Levels(self.top, self.bottom)

    @abstractmethod
    def model(self, tables: Tables) -> EntropyModel:
        """The entropy model of these networks, once they are fitted, and of tables."""

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

    def start_likelihood_from(self, other: PhasedNetwork) -> bool:
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


def _likelihood_size(config: PhasedConfig) -> dict[str, int]:
    """All that the shapes of a likelihood depend on."""
    free = ("latents", "top_channels", "bottom_channels", "latent_width", "weight_bits")
    return {name: value for name, value in asdict(config).items() if name not in free}
