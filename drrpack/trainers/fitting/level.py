"""Fit one level of an entropy model on codes, with quantised weights from the first step.

Paper section 6.1 and appendix B.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from drrpack.core.entropy.networks import LevelParts
from drrpack.trainers.fitting.loop import NetworkTask


class Start(NamedTuple):
    """What a fit begins with: the peak of its learning rate, and whether the weights are random."""

    rate: float
    random: bool


TUNING = Start(1e-3, random=False)  # of a model that is fitted already
CLIP = 200.0  # the norm of the gradients


class LevelFit(NetworkTask):
    """The `FitTask` of one level of codes; batches are int64 codes (B, T + 4T), top then bottom.

    The levels have no weight in common: the bottom is conditioned on the codes of the top.
    """

    def __init__(
        self,
        stage: str,
        network: LevelParts,
        top_shape: tuple[int, int],
        device: torch.device,
        start: Start,
        constant: bool = False,
    ) -> None:
        self.network = network.to(device).train()
        adam = torch.optim.Adam(network.parameters(), lr=start.rate)
        super().__init__(self.network, adam, start.rate, constant)
        self.random = start.random
        self.stage, self.top_shape, self.device = stage, top_shape, device

    def step(self, batch: Tensor, fraction: float, generator: torch.Generator) -> dict[str, float]:
        self.set_learning_rate(fraction)
        codes, above = self._codes(self.share.own(batch).to(self.device))
        # shares draw the same, for a model that draws for each of its codes: no mean is moved by it
        passed = fraction if self.random else 1.0
        loss, spent = (x.mean() for x in self.network.loss(codes, above, generator, passed))
        self.descend(loss, len(batch), CLIP)
        minimised, bits = (self.share.mean(x, len(batch)).item() for x in (loss, spent))
        return {"loss": minimised, "bits_per_code": bits / codes[0].numel()}

    def _codes(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        top, bottom = split_levels(batch, self.top_shape)
        return (bottom, top) if self.network.conditioned else (top, None)


def split_levels(codes: Tensor, top_shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Flat codes (B, 5T) to top (B, H, W) and bottom (B, 2H, 2W) grids."""
    height, width = top_shape
    count = height * width
    top = codes[:, :count].reshape(-1, height, width)
    return top, codes[:, count:].reshape(-1, 2 * height, 2 * width)
