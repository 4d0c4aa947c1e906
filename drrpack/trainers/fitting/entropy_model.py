"""Fitting Bit-Swap on codes, quantisation-aware throughout (paper section 6.1, appendix B)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from drrpack.core.entropy.bitswap import expected_bits
from drrpack.core.entropy.code_model import LevelModel
from drrpack.trainers.fitting.loop import learning_rate

BATCH_SIZE = 64  # many small steps: after as many images it was ahead of 256
PEAK_LEARNING_RATE = 3e-3
TUNING_RATE = 1e-3  # of a model that is fitted already


class LevelFit:
    """The `FitTask` of one level of codes; batches are int64 codes (B, T + 4T), top then bottom.

    The levels have no weight in common: the bottom is conditioned on the codes of the top.
    """

    def __init__(
        self,
        stage: str,
        network: LevelModel,
        top_shape: tuple[int, int],
        device: torch.device,
        peak: float = PEAK_LEARNING_RATE,
    ) -> None:
        self.stage, self.peak = stage, peak
        self.network = network.to(device).train()
        self.top_shape, self.device = top_shape, device
        self.optimiser = torch.optim.Adam(network.parameters(), lr=peak)
        self.steps = 0

    def step(self, batch: Tensor, fraction: float, generator: torch.Generator) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.peak, fraction, self.steps)
        codes, above = self._codes(batch.to(self.device))
        code_bits, latent_bits = expected_bits(self.network, codes, above, generator)
        loss = (code_bits + latent_bits).mean()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 200.0)
        self.optimiser.step()
        self.steps += 1
        bits = loss.item()
        return {"loss": bits, "bits_per_code": bits / codes[0].numel()}

    def _codes(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        top, bottom = split_levels(batch, self.top_shape)
        return (bottom, top) if self.network.conditioned else (top, None)

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]


def split_levels(codes: Tensor, top_shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Flat codes (B, 5T) to top (B, H, W) and bottom (B, 2H, 2W) grids."""
    height, width = top_shape
    count = height * width
    top = codes[:, :count].reshape(-1, height, width)
    return top, codes[:, count:].reshape(-1, 2 * height, 2 * width)
