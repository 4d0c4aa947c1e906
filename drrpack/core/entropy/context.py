"""The context model: grids of codes <-> bits, each code predicted from its neighbours.

It is the likelihood of `drrpack.core.entropy.phased` without latents. So it can also give the
price of each code, by which `drrpack.core.rdoq` chooses codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.codes import LevelName, Levels
from drrpack.core.entropy.likelihood import Likelihood
from drrpack.core.entropy.model import Prices, Round, register
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import LevelParts, NetworkConfig
from drrpack.core.entropy.phased import PhasedCoding, PhasedConfig, PhasedNetwork
from drrpack.core.frequencies import Tables
from drrpack.core.phases import Phases
from drrpack.core.probability import LOGIT_BITS


@dataclass(frozen=True)
class ContextConfig(PhasedConfig):
    """Sizes of the context model."""

    kind: ClassVar[str] = "context"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latents:
            raise ValueError(f"found a context model of {self.latents} latents, expected none")

    def network(self) -> ContextNetwork:
        return ContextNetwork(self)


class ContextLevel(LevelParts):
    """One level: the likelihood of its codes, given their neighbours."""

    def __init__(self, config: ContextConfig, conditioned: bool) -> None:
        super().__init__(config, conditioned)
        phases = Phases(config.bottom_cell if conditioned else config.top_cell)
        context = config.width if conditioned else 0
        self.likelihood = Likelihood(config, 0, len(phases), context)
        self.output = self.make_output()
        self.phased = PhasedCoding(phases, self.embedding, self.likelihood, self.output)

    def expected_bits(
        self, codes: Tensor, above: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The bits (B,) of codes (B, H, W): an estimate that is right on average."""
        return self.phased.expected_bits(codes, None, self.of_top(above), generator)

    def coder(self, shape: tuple[int, int, int, int], above: Tensor | None) -> ans.Codec[Symbols]:
        """Codes of ``shape`` (streams, images, H, W), each given those of earlier phases."""
        self.refuse_large(shape)
        return self.phased.coder(shape, None, self.of_top(above))


class ContextNetwork(PhasedNetwork):
    """The networks of both levels, without latents."""

    top: ContextLevel
    bottom: ContextLevel

    def __init__(self, config: ContextConfig) -> None:
        super().__init__(config, ContextLevel(config, False), ContextLevel(config, True))

    @property
    def levels(self) -> Levels[ContextLevel]:
        return Levels(self.top, self.bottom)

    def model(self, tables: Tables) -> ContextModel:
        return ContextModel(self, tables)


@register
@dataclass(frozen=True)
class ContextModel(NetworkModel):
    """Codes by their neighbours."""

    kind: ClassVar[str] = "context"
    versions: ClassVar[tuple[str, ...]] = ("1.0", "2.0")
    config_type: ClassVar[type[NetworkConfig]] = ContextConfig

    network: ContextNetwork

    @property
    def prices(self) -> Prices:
        return ContextPrices(self.network)


@dataclass(frozen=True)
class ContextPrices:
    """What codes cost by the frozen networks of a context model; see `Prices`."""

    network: ContextNetwork

    def rounds(
        self, level: LevelName, shape: tuple[int, int], above: Tensor | None
    ) -> Iterator[Round]:
        """A round for each phase."""
        own = self.network.levels[level]
        phased, context = own.phased, own.of_top(above)
        for number in phased.phases.within(shape):
            part = partial(phased.phases.part, number=number)
            yield Round(part, partial(_bits, phased, number, context))


def _bits(model: PhasedCoding, number: int, context: Tensor | None, codes: Tensor) -> Tensor:
    """What each code would take at each place of a phase: (N, codebook_size)."""
    logits = model.logits(model.places(number, codes, None, context)).float()
    nats = torch.log_softmax(logits * (math.log(2) / 2**LOGIT_BITS), dim=1)
    return nats / -math.log(2)
