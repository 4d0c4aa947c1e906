"""What a fit from scratch makes, and how: drrpack's own way, and that of the paper."""

from __future__ import annotations

from dataclasses import dataclass

from drrpack.core.entropy.bitswap import BitSwapConfig
from drrpack.core.entropy.context import ContextConfig
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.vqvae import VQVAEConfig

# Smaller than the paper's: what is finer or wider saves less than it takes (docs/rate.md).
EMBEDDING = 16
WEIGHT_BITS = 5
ENTROPY_MODELS: tuple[NetworkConfig, ...] = (
    ContextConfig(embedding=EMBEDDING, weight_bits=WEIGHT_BITS),
    BitSwapConfig(embedding=EMBEDDING, weight_bits=WEIGHT_BITS),
)


@dataclass(frozen=True)
class Preset:
    """The networks of a codec, and what decides how they are fitted.

    Attributes:
        vqvae: sizes of the VQ-VAE; None for those of the family.
        entropy: the entropy models to choose from.
        vqvae_rate, entropy_rate, latents_rate: learning rates of Adam, or their peaks; the last is
            of entropy models with latents.
        constant: the learning rates stay; otherwise they rise and fall over the budget, and
            gradients are clipped.
        averages: codebooks are moving averages of the vectors that chose them; otherwise equation 3
            of the paper moves them.
        perceptual: the VQ-VAE's loss counts what a classifier of the images sees.
        mirrored: the VQ-VAE sees half of the images mirrored.
        views: how many flipped and shifted copies of each image the entropy models see.
    """

    name: str
    vqvae: VQVAEConfig | None = None
    entropy: tuple[NetworkConfig, ...] = ENTROPY_MODELS
    vqvae_rate: float = 8e-4  # the paper's 3e-4 is for 1400 epochs; a budget wants a schedule
    entropy_rate: float = 3e-3
    latents_rate: float = 6e-3
    constant: bool = False
    averages: bool = True
    perceptual: bool = True
    mirrored: bool = True
    views: int = 2


OWN = Preset("drrpack")
# Sections 3.1 and 6.1 of the paper. Weights are stored in half precision. The paper fits
# the VQ-VAE for 1400 epochs.
PAPER = Preset(
    "paper",
    vqvae=VQVAEConfig(embedding=64, weight_bits=0, codebook_bits=0),
    entropy=(BitSwapConfig(),),
    vqvae_rate=3e-4,
    entropy_rate=2e-3,
    latents_rate=2e-3,
    constant=True,
    averages=False,
    perceptual=False,
    mirrored=False,
    views=0,
)
PRESETS = {preset.name: preset for preset in (OWN, PAPER)}
