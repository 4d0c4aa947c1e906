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

from drrpack.core.codes import LevelName
from drrpack.core.entropy.model import Prices, Round, register
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.entropy.phased import PhasedConfig, PhasedLevel, PhasedNetwork
from drrpack.core.frequencies import Tables
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


class ContextNetwork(PhasedNetwork):
    """The networks of both levels, without latents."""

    def model(self, tables: Tables) -> ContextModel:
        return ContextModel(self, tables)


@register
@dataclass(frozen=True)
class ContextModel(NetworkModel):
    """Codes by their neighbours."""

    kind: ClassVar[str] = "context"
    versions: ClassVar[tuple[str, ...]] = ("1.0", "2.0")
    config_type: ClassVar[type[NetworkConfig]] = ContextConfig

    network: PhasedNetwork

    @property
    def prices(self) -> Prices:
        return ContextPrices(self.network)


@dataclass(frozen=True)
class ContextPrices:
    """What codes cost by the frozen networks of a context model; see `Prices`."""

    network: PhasedNetwork

    def rounds(
        self, level: LevelName, shape: tuple[int, int], above: Tensor | None
    ) -> Iterator[Round]:
        """A round for each phase."""
        model = self.network.levels[level]
        context = model.of_top(above)
        for number in model.phases.within(shape):
            part = partial(model.phases.part, number=number)
            yield Round(part, partial(_bits, model, number, context))


def _bits(model: PhasedLevel, number: int, context: Tensor | None, codes: Tensor) -> Tensor:
    """What each code would take at each place of a phase: (N, codebook_size)."""
    logits = model.logits(model.places(number, codes, None, context)).float()
    nats = torch.log_softmax(logits * (math.log(2) / 2**LOGIT_BITS), dim=1)
    return nats / -math.log(2)
