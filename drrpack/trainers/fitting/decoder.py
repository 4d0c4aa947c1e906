"""Fit the decoder of a VQ-VAE on the codes that will be stored; encoder and codebooks stay.

A VQ-VAE is fitted with the nearest codes, but `drrpack.core.rdoq` chooses other codes. A decoder
that has seen these makes better images from them without additional bytes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.codes import Codes
from drrpack.core.vqvae import VQVAE, as_stored, pad, to_float
from drrpack.trainers.fitting.features import Features
from drrpack.trainers.fitting.loop import NetworkTask
from drrpack.trainers.fitting.vqvae import FEATURES_WEIGHT, TUNING_RATE, on_grid


class DecoderFit(NetworkTask):
    """The `FitTask` of the decoder; batches are rows (B,) of ``images``, uint8 (N, H, W, 3), and of
    the codes that stand for them."""

    stage = "decoder"
    kept_as = "parts"

    def __init__(
        self,
        network: VQVAE,
        images: Tensor,
        codes: Codes,
        device: torch.device,
        features: Features | None = None,
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        parts = nn.ModuleList([network.upsample_top, network.decoder]).requires_grad_(True)
        super().__init__(parts, torch.optim.Adam(parts.parameters(), lr=TUNING_RATE), TUNING_RATE)
        self.images, self.device, self.features = images, device, features
        self.codes = codes

    def step(self, batch: Tensor, fraction: float, generator: torch.Generator) -> dict[str, float]:
        self.set_learning_rate(fraction)
        count, batch = len(batch), self.share.own(batch)
        images = pad(to_float(self.images[batch].to(self.device)), self.network.config.stride)
        codes = self.codes.take(batch.numpy())
        top, bottom = (torch.from_numpy(g.astype(np.int64)).to(self.device) for g in codes.grids)
        with on_grid(self.network):
            output = self.network.decode(top, bottom)
            loss = error = F.mse_loss(output, images)
            if self.features is not None:
                loss = loss + FEATURES_WEIGHT * self.features.distance(output, images)
            self.backward(loss, count)
        self.advance(clip=1.0)
        loss, error = (self.share.mean(one, count) for one in (loss, error))
        psnr = -10 * float(torch.log10(error.detach() / 4 + 1e-12))
        return {"loss": loss.item(), "psnr_db": psnr}

    def finish(self) -> VQVAE:
        """The network with its new decoder, as it will be stored."""
        return as_stored(self.network)
