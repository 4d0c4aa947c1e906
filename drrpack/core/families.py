"""Codec families by image size: which codec images get, and what a fit from scratch begins with.

One stride for all sizes spends as many codes on a square of 8 pixels in a large picture as in a
small one, though it shows far less there. A file holds the strides of its own codec, so whatever
reads it needs no family. A new one is one entry: `register` a `Family`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from drrpack.core.errors import OptionError
from drrpack.core.vqvae import VQVAEConfig


@dataclass(frozen=True)
class Family:
    """A VQ-VAE for images of up to ``largest_side`` pixels; larger ones go, but cost more.

    ``batch`` is how many images a step of its fit takes at most. An image whose shorter side has
    fewer than ``least_side`` pixels would be padding for the most part.
    """

    name: str
    largest_side: int
    vqvae: VQVAEConfig
    batch: int = 128
    least_side: int = 1


FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Make a family known by its name. Raises ValueError where another one has it."""
    known = FAMILIES.setdefault(family.name, family)
    if known != family:
        raise ValueError(f"there are two codec families {family.name}")
    return family


# Smaller than the paper's: what is finer or wider saves less than it takes (docs/rate.md).
SMALL = register(Family("small", 48, VQVAEConfig(embedding=16, codebook_bits=7, stride=4)))
# An image of it takes four times the work of a small one: more steps in the same time.
MEDIUM = register(Family("medium", 128, replace(SMALL.vqvae, stride=8), batch=64))
LARGE_VQVAE = replace(SMALL.vqvae, stride=16, first_channels=32)
LARGE = register(Family("large", 512, LARGE_VQVAE, batch=32, least_side=32))
DEFAULT = SMALL.name  # where no size is known


def get_family(name: str) -> Family:
    """The family of a name; raises OptionError."""
    if name not in FAMILIES:
        raise OptionError(f"`family={name!r}`: say one of {', '.join(FAMILIES)}", option="family")
    return FAMILIES[name]


def for_size(size: tuple[int, int], among: Iterable[Family]) -> Family:
    """The family meant for images of ``size`` (H, W), of some: the first that reaches their longer
    side, or else the one that reaches furthest, of those whose patches their shorter side fills."""
    rising = sorted(among, key=lambda family: family.largest_side)
    rising = [one for one in rising if min(size) >= one.least_side] or rising[:1]
    return next((one for one in rising if max(size) <= one.largest_side), rising[-1])
