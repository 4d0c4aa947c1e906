"""Fitting the decoder of a VQ-VAE on the codes that will be stored; encoder and codebooks stay.

A VQ-VAE is fitted with the nearest codes. Those that `drrpack.core.rdoq` chooses are others, and a
decoder that has seen them makes better images of them at no byte more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.codec import ClassCodes
from drrpack.core.vqvae import VQVAE, freeze, pad, to_float
from drrpack.trainers.fitting.features import Features
from drrpack.trainers.fitting.loop import learning_rate
from drrpack.trainers.fitting.vqvae import FEATURES_WEIGHT, TUNING_RATE, on_grid


class DecoderFit:
    """The `FitTask` of the decoder; batches are rows (B,) of ``images``, uint8 (N, H, W, 3), and of
    the codes that stand for them."""

    stage = "decoder"

    def __init__(
        self,
        network: VQVAE,
        images: Tensor,
        codes: ClassCodes,
        device: torch.device,
        features: Features | None = None,
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.parts = nn.ModuleList([network.upsample_top, network.decoder]).requires_grad_(True)
        self.images, self.device, self.features = images, device, features
        self.top, self.bottom = torch.from_numpy(codes.top), torch.from_numpy(codes.bottom)
        self.optimiser = torch.optim.Adam(self.parts.parameters(), lr=TUNING_RATE)
        self.steps = 0

    def step(self, batch: Tensor, fraction: float, generator: torch.Generator) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(TUNING_RATE, fraction, self.steps)
        images = pad(to_float(self.images[batch].to(self.device)))
        top, bottom = (level[batch].to(self.device) for level in (self.top, self.bottom))
        with on_grid(self.network):
            output = self.network.decode(top, bottom)
            loss = error = F.mse_loss(output, images)
            if self.features is not None:
                loss = loss + FEATURES_WEIGHT * self.features.distance(output, images)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        psnr = -10 * float(torch.log10(error.detach() / 4 + 1e-12))
        return {"loss": loss.item(), "psnr_db": psnr}

    def finish(self) -> VQVAE:
        """The network with its new decoder, frozen."""
        return freeze(self.network)

    def state_dict(self) -> dict[str, Any]:
        return {
            "parts": self.parts.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.parts.load_state_dict(state["parts"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]
