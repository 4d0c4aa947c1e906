"""The plan of a fit: which networks, how long, and where its checkpoints are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core.codec import Codec
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.families import DEFAULT, FAMILIES
from drrpack.core.rdoq import DEFAULT_QUALITY
from drrpack.core.vqvae import VQVAEConfig
from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.fitting.presets import OWN, Preset
from drrpack.trainers.ranks import ALONE, Ranks

Log = dict[str, dict[str, float]]


@dataclass(frozen=True)
class FitSizes:
    """How many images a step takes, and how wide the classifier is that only fitting uses."""

    features_batch: int = 128
    features_width: int = 16  # a sixteenth of ResNet-18's work; its activations are all that counts
    vqvae_batch: int = 128
    entropy_batch: int = 64  # many small steps: after as many images it was ahead of 256
    latents_batch: int = 128  # of models with latents, whose gradients are noisier


@dataclass(frozen=True)
class FitPlan:
    """What to fit, for how long, and where to keep checkpoints."""

    budget: Budget
    device: torch.device
    seed: int = 0
    vqvae: VQVAEConfig = FAMILIES[DEFAULT].vqvae
    entropy: Sequence[NetworkConfig] = OWN.entropy
    preset: Preset = OWN  # how to fit these networks
    quality: int = DEFAULT_QUALITY  # that codes are chosen with, where there is a context model
    start: Sequence[Codec] = ()  # of one VQ-VAE; the fit goes on from there
    checkpoints: Path | None = None  # a folder; without one a fit can't go on after a break
    sizes: FitSizes = FitSizes()
    processes: Ranks = ALONE  # which share the batches of every fit

    def by(self, preset: Preset) -> FitPlan:
        """The same for the networks of a preset, which are fitted its way."""
        vqvae = self.vqvae if preset.vqvae is None else preset.vqvae
        return replace(self, preset=preset, vqvae=vqvae, entropy=preset.entropy)

    def in_batches(self, images: int) -> FitPlan:
        """The same, where a step of the VQ-VAE takes at most so many images."""
        batch = min(images, self.sizes.vqvae_batch)
        return replace(self, sizes=replace(self.sizes, vqvae_batch=batch))

    @property
    def batch(self) -> tuple[int, ...]:
        """What a checkpoint of the VQ-VAE has to say of its batches: nothing of the usual ones."""
        batch = self.sizes.vqvae_batch
        return () if batch == FitSizes.vqvae_batch else (batch,)

    def checkpoint(self, name: str) -> Path | None:
        """The file of that name among the checkpoints."""
        return None if self.checkpoints is None else self.checkpoints / name

    def fingerprint(self, config: object, data: NDArray[np.generic]) -> str:
        """What a checkpoint belongs to: these data, this network, this seed, the preset and what
        the fit began with; not the budget."""
        arrays = [data[:: max(1, len(data) // 1000)]]
        arrays += [codec.vqvae.bottom.codebook.cpu().numpy() for codec in self.start]
        digests = [sha256(np.ascontiguousarray(array).tobytes()).hexdigest() for array in arrays]
        parts = [repr(config), str(self.seed), str(data.shape), *digests]
        parts += [] if self.preset == OWN else [repr(self.preset)]
        return sha256("\n".join(parts).encode()).hexdigest()
