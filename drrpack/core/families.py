"""Codec families by image size: the VQ-VAE that a fit from scratch begins with.

One stride for all sizes spends as many codes on a square of 8 pixels in a large picture as in a
small one, though it shows far less there. A file holds the strides of its own codec, so whatever
reads it needs no family. A new one is one entry: `register` a `Family`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from drrpack.core.vqvae import VQVAEConfig


@dataclass(frozen=True)
class Family:
    """A VQ-VAE for images of up to ``largest_side`` pixels; larger ones go, but cost more."""

    name: str
    largest_side: int
    vqvae: VQVAEConfig


FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Make a family known by its name. Raises ValueError where another one has it."""
    known = FAMILIES.setdefault(family.name, family)
    if known != family:
        raise ValueError(f"there are two codec families {family.name}")
    return family


# Smaller than the paper's: what is finer or wider saves less than it takes (docs/rate.md).
SMALL = register(Family("small", 48, VQVAEConfig(embedding=16, codebook_bits=7, stride=4)))
MEDIUM = register(Family("medium", 128, replace(SMALL.vqvae, stride=8)))
DEFAULT = SMALL.name  # whatever the size of the images
