"""Fit the VQ-VAE on images, then round it to what is stored (paper section 6.1)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from drrpack.core.quantiser import Quantiser
from drrpack.core.vqvae import VQVAE, as_stored, grid_bits, pad, perplexity, rounded, to_float
from drrpack.trainers.fitting.features import Features
from drrpack.trainers.fitting.loop import NetworkTask, State
from drrpack.trainers.fitting.presets import OWN, Preset

TUNING_RATE = 3e-4  # of a network that is fitted already
# The fit starts with a plain autoencoder, so that k-means sees meaningful vectors: for this many
# steps or this share of the budget, whichever ends sooner.
CONTINUOUS_STEPS = 100
CONTINUOUS_SHARE = 0.1
CODEBOOK_BATCHES = 16  # that k-means runs on
GRID_FROM = 0.5  # share of the budget after which weights are rounded as they will be stored
FEATURES_FROM = 0.5  # share of the budget after which the perceptual loss is added
FEATURES_WEIGHT = 0.4


class VQVAEFit(NetworkTask):
    """The `FitTask` of the lossy codec; batches are uint8 images (B, H, W, 3).

    If the network is already ``fitted``, it starts from its weights and codebooks, and everything
    that comes late in a fit from scratch applies from the first step.
    """

    stage = "VQ-VAE"

    def __init__(
        self,
        network: VQVAE,
        device: torch.device,
        features: Features | None = None,
        fitted: bool = False,
        preset: Preset = OWN,
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.network.requires_grad_(True)
        self.device, self.features, self.preset = device, features, preset
        codebooks = [] if preset.averages else [q.codebook for q in (network.top, network.bottom)]
        for codebook in codebooks:
            codebook.requires_grad_(True)
        peak = TUNING_RATE if fitted else preset.vqvae_rate
        adam = torch.optim.Adam([*network.parameters(), *codebooks], lr=peak)
        super().__init__(self.network, adam, peak, preset.constant)
        self.grid_from = 0.0 if fitted else GRID_FROM
        self.features_from = 0.0 if fitted else FEATURES_FROM
        self.quantised = fitted
        self._seen: list[tuple[Tensor, Tensor]] = []  # vectors of the last continuous batches

    def step(self, batch: Tensor, fraction: float, generator: torch.Generator) -> dict[str, float]:
        self.set_learning_rate(fraction)
        stride = self.network.config.stride
        images = pad(to_float(batch.to(self.device)), stride)
        images = _flip(images, generator) if self.preset.mirrored else images
        images, count = self.share.own(images), len(batch)
        images = images.contiguous(memory_format=torch.channels_last)
        if not self.quantised and self._seen and _continuous_is_over(self.steps, fraction):
            self._initialise_codebooks(generator)
        with on_grid(self.network) if fraction >= self.grid_from else nullcontext():
            output, pulls, codes = self._forward(images, generator, count)
            error = F.mse_loss(output, images)
            loss = error + pulls
            if self.features is not None and fraction >= self.features_from:
                loss = loss + FEATURES_WEIGHT * self.features.distance(output, images)
            self.backward(loss, count)
        self.advance(clip=1.0)
        loss, error = (self.share.mean(one, count) for one in (loss, error))
        codes = [self.share.all(level, count) for level in codes]
        return self._metrics(loss.item(), error.item(), codes)

    def finish(self) -> VQVAE:
        """The fitted network; one so short that it was never quantised gets its codebooks now."""
        if not self.quantised:
            self._initialise_codebooks(torch.Generator().manual_seed(0))
        for quantiser in (self.network.top, self.network.bottom):
            quantiser.codebook.requires_grad_(False)
        return as_stored(self.network)

    def _forward(
        self, images: Tensor, generator: torch.Generator, count: int
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What comes out, the pulls of both codebooks and the codes, of a share of ``count`` images
        that all processes have together. Codebooks see the vectors of all."""
        net = self.network
        features = net.encoder_bottom(images)
        z_top = net.to_top(net.encoder_top(features))
        if not self.quantised:
            z_bottom = net.bottom_features(features, z_top)
            top, bottom = (self.share.all(_vectors(z).detach(), count) for z in (z_top, z_bottom))
            self._seen.append((top, bottom))
            del self._seen[:-CODEBOOK_BATCHES]
            return net.reconstruct(z_top, z_bottom), images.new_zeros(()), []
        q_top, top, pull_top = self._straight_through(net.top, z_top, generator, count)
        z_bottom = net.bottom_features(features, q_top)
        q_bottom, bottom, pull_bottom = self._straight_through(
            net.bottom, z_bottom, generator, count
        )
        return net.reconstruct(q_top, q_bottom), pull_top + pull_bottom, [top, bottom]

    def _straight_through(
        self, quantiser: Quantiser, z: Tensor, generator: torch.Generator, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantised features with the gradient of ``z``, their codes, and the loss of equation 4;
        with that of equation 3 where the codebook follows it, and not moving averages."""
        codes = quantiser.quantise(z)
        quantised = quantiser.embed(codes)
        pull = self.network.config.commitment * F.mse_loss(z, quantised.detach())
        if self.preset.averages:
            vectors = self.share.all(_vectors(z.detach()), count)
            quantiser.update(vectors, self.share.all(codes.flatten(), count), generator)
        else:
            pull = pull + F.mse_loss(quantised, z.detach())
        return z + (quantised - z).detach(), codes, pull

    def _initialise_codebooks(self, generator: torch.Generator) -> None:
        top = torch.cat([t for t, _ in self._seen])
        bottom = torch.cat([b for _, b in self._seen])
        for quantiser, z in ((self.network.top, top), (self.network.bottom, bottom)):
            size = len(quantiser.codebook)
            keep = torch.randperm(len(z), generator=generator)[: 64 * size].to(z.device)
            z = z[keep].repeat(-(-size // len(keep)), 1)
            quantiser.initialise(z, generator)
        self._seen.clear()
        self.quantised = True

    def _metrics(self, loss: float, error: float, codes: list[Tensor]) -> dict[str, float]:
        psnr = -10 * math.log10(error / 4 + 1e-12)
        out = {"loss": loss, "psnr_db": psnr}
        for name, level in zip(("perplexity_top", "perplexity_bottom"), codes, strict=False):
            out[name] = perplexity(level, self.network.config.codebook_size)
        return out

    def state_dict(self) -> State:
        return {**super().state_dict(), "quantised": self.quantised, "seen": self._seen}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.quantised = state["quantised"]
        self._seen = list(state["seen"])


@contextmanager
def on_grid(network: VQVAE) -> Iterator[None]:
    """Within it all weights are what will be stored; gradients are meant for the unrounded ones."""
    unrounded = []
    for name, weight in network.named_parameters():
        if bits := grid_bits(network.config, name):
            unrounded.append((weight, weight.data))
            weight.data = rounded(weight.data, bits)
    try:
        yield
    finally:
        for weight, data in unrounded:
            weight.data = data


def _continuous_is_over(steps: int, fraction: float) -> bool:
    return steps >= CONTINUOUS_STEPS or fraction >= CONTINUOUS_SHARE


def _vectors(z: Tensor) -> Tensor:
    return z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the images: the only augmentation, and it costs nothing."""
    mirror = torch.rand(len(images), dtype=torch.float32, generator=generator) < 0.5
    return torch.where(mirror.to(images.device)[:, None, None, None], images.flip(-1), images)
