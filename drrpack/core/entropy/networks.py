"""What the networks of entropy models have in common, of whatever kind: codes in, logits out.

Codes are categories. Each goes in as a vector, and its probability comes out as a logit; the bottom
level is conditioned on the top. All layers are those of `drrpack.core.exact`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.by_rows import by_rows
from drrpack.core.codes import Levels
from drrpack.core.convolution import IntConv2d
from drrpack.core.dense import IntEmbedding, IntLinear
from drrpack.core.entropy.model import EntropyModel
from drrpack.core.errors import DrrError
from drrpack.core.exact import WEIGHT_BITS_MAX, WEIGHT_MAX, relu
from drrpack.core.freezing import int_layers
from drrpack.core.frequencies import Tables
from drrpack.core.int_layer import IntProduct
from drrpack.core.probability import LOGIT_BITS, PRECISION, Categorical
from drrpack.core.stored import depth

TOP_REACH = 4  # rows of the top codes on each side that the bottom's context depends on
# Of a group: it is what is kept of all its codes at once, besides what some rows take. Twice as
# much as 8 images of 4,096 pixels a side ask for, with a stride of 4 and 64 channels.
GROUP_MAX = 1 << 30
COUNTED = 64  # codes of an image that one step of a fit looks at: all those of a small image


@dataclass(frozen=True)
class NetworkConfig(ABC):
    """What fixes the networks of a kind: integers, which its section has as they are."""

    kind: ClassVar[str]

    codebook_size: int = 512
    embedding: int = 64
    width: int = 64  # networks next to the codes
    # weights are multiples of 2**-weight_bits at finest
    weight_bits: int = depth(WEIGHT_BITS_MAX, may_be_zero=True)

    @abstractmethod
    def network(self) -> BothLevels:
        """A network of these sizes, with random weights."""

    @property
    def table_size(self) -> int:
        """How many numbers a frozen model makes of its weights, to look up."""
        return 0


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = IntConv2d(width, width, low=0, high=255)
        self.second = IntConv2d(width, width, gain=0.3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(relu(x)))
        return out


class TopContext(nn.Module):
    """What the bottom level knows of the top: codes (B, H, W) to integers (B, C, 2H, 2W)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.embedding = IntEmbedding(config.codebook_size, config.embedding)
        self.enter = IntConv2d(config.embedding, config.width, in_max=WEIGHT_MAX)
        self.block = Block(config.width)
        self.leave = IntConv2d(config.width, config.width, low=0, high=255)

    def forward(self, top: Tensor) -> Tensor:
        coarse = relu(self.block(self.enter(self.embedding(top))))
        out: Tensor = self.leave(F.interpolate(coarse, scale_factor=2, mode="nearest"))
        return out


class LevelParts(nn.Module, ABC):
    """The parts of one level; made whole it is a `drrpack.core.entropy.model.LevelModel`.

    Args:
        conditioned: whether the top level is known: this is the bottom then.
    """

    config: NetworkConfig
    output: IntLinear  # made by `make_output` after all other layers: this order is that of storing

    def __init__(self, config: NetworkConfig, conditioned: bool) -> None:
        super().__init__()
        self.config, self.conditioned = config, conditioned
        self.context = TopContext(config) if conditioned else None
        self.embedding = IntEmbedding(config.codebook_size, config.embedding)

    def make_output(self) -> IntLinear:
        """Predicted vectors (N, embedding) to logits (N, codebook_size), in sixteenths of a bit."""
        return IntLinear(
            self.config.embedding, self.config.codebook_size,
            in_max=WEIGHT_MAX, low=-512, high=511, out_bits=LOGIT_BITS, gain=0.3,
        )  # fmt: skip

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
        """What is known of the top level, from its codes (B, H / 2, W / 2): (B, width, H, W), in
        bytes where it is large."""
        if self.context is None:
            return None
        widest = 4 * max(self.config.width, self.config.embedding)  # four positions for one code
        return by_rows(self.context, (above,), TOP_REACH, widest, torch.uint8)

    @property
    def kept(self) -> int:
        """Numbers that are kept of each code of a group until all are coded."""
        return max(self.config.width, self.config.embedding)

    def refuse_large(self, shape: tuple[int, int, int, int]) -> None:
        """Raise DrrError for a group (streams, images, H, W) of more numbers than `GROUP_MAX`."""
        if self.kept * math.prod(shape) > GROUP_MAX:
            raise DrrError(
                f"a group of {shape[1]} images has {math.prod(shape[1:])} codes, of which the "
                f"entropy model keeps {self.kept} numbers each, and {GROUP_MAX} at most in all"
            )

    @abstractmethod
    def expected_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """As `LevelModel.expected_bits`."""

    def loss(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator, fraction: float
    ) -> tuple[Tensor, Tensor]:
        """What a fit from random weights minimises after a ``fraction`` of its budget, and the bits
        as `expected_bits` counts them: (B,) each."""
        bits = self.expected_bits(codes, above, generator)
        return bits, bits

    # the coder

    @property
    def device(self) -> torch.device:
        return self.output.weight.device

    @abstractmethod
    def coder(self, shape: tuple[int, int, int, int], above: Tensor | None) -> ans.Codec[Symbols]:
        """As `LevelModel.coder`."""

    # parameters of latents, which are stored beside the layers; without latents there are none

    @property
    def last_size(self) -> int:
        """How many parameters p over the last latent has."""
        return 0

    def last_integers(self) -> NDArray[np.int64]:
        """The parameters of p over the last latent, (2 * channels,)."""
        return np.empty(0, np.int64)

    def load_last(self, values: NDArray[np.integer]) -> None:
        """The inverse of `last_integers`."""


def grids(codes: Symbols, device: torch.device) -> Tensor:
    """Codes (streams, images, H, W) as networks take them: (streams * images, H, W)."""
    return torch.from_numpy(codes).reshape(-1, *codes.shape[2:]).to(device)


def bits_of(logits: Tensor, codes: Tensor) -> Tensor:
    """What codes (N,) take by logits (N, K): (N,)."""
    nats = logits * (math.log(2) / 2**LOGIT_BITS)
    return F.cross_entropy(nats, codes, reduction="none") / math.log(2)


def categorical(logits: Tensor) -> ans.Codec[Symbols]:
    """Logits (streams, n, K): n codes for each stream, K to choose from."""
    codes = Categorical(logits)
    return ans.intervals(logits.shape[1], PRECISION, codes.interval, codes.find)


class BothLevels(nn.Module, ABC):
    """The networks of both levels."""

    def __init__(self, config: NetworkConfig, top: LevelParts, bottom: LevelParts) -> None:
        super().__init__()
        self.config, self.top, self.bottom = config, top, bottom
        for layer in int_layers(self).values():
            if isinstance(layer, IntProduct):
                layer.finest = config.weight_bits

    @property
    def levels(self) -> Levels[LevelParts]:
        return Levels(self.top, self.bottom)

    @abstractmethod
    def model(self, tables: Tables) -> EntropyModel:
        """The entropy model of these networks, once they are fitted, and of tables."""

    def start_from(
        self, codebooks: tuple[Tensor, Tensor], frequencies: tuple[Tensor, Tensor]
    ) -> None:
        """Begin with what is known of top and bottom codes; see `LevelParts.start_from`."""
        both = zip((self.top, self.bottom), codebooks, frequencies, strict=True)
        for level, codebook, frequency in both:
            level.start_from(codebook, frequency)
        assert self.bottom.context is not None
        with torch.no_grad():
            self.bottom.context.embedding.weight.copy_(self.top.embedding.weight)

    def start_likelihood_from(self, other: BothLevels) -> bool:
        """Begin with the likelihood of another model; says whether there was one to take over."""
        return False
