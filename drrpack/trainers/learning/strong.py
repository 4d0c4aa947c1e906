"""Strong augmentation by torchvision's policies, each image by a seed of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

Strength = Literal["crop", "autoaugment", "randaugment", "trivialaugment"]
STRENGTHS: tuple[Strength, ...] = get_args(Strength)


def strengthen(images: Tensor, seeds: Tensor, strength: Strength) -> Tensor:
    """Images (B, H, W, 3) uint8, each changed as its seed (B,) int64 says; as they are for "crop".

    Images with the same seed are changed in the same way, which information back needs: what a
    reconstruction undergoes, its raw image undergoes too. The random state is left as it was.
    """
    if strength == "crop" or not len(images):
        return images
    policy = _policy(strength)
    with torch.random.fork_rng(devices=[]):
        changed = []
        for image, seed in zip(images, seeds.tolist(), strict=True):
            torch.manual_seed(seed)
            changed.append(policy(image.permute(2, 0, 1)).permute(1, 2, 0))
    return torch.stack(changed)


def _policy(strength: Strength) -> Callable[[Tensor], Tensor]:
    """As torchvision has them: Cubuk et al. 2019 and 2020, Müller and Hutter 2021."""
    from torchvision.transforms import v2  # type: ignore[import-untyped]  # takes half a second

    made: Callable[[Tensor], Tensor]
    if strength == "autoaugment":
        made = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
    else:
        made = v2.RandAugment() if strength == "randaugment" else v2.TrivialAugmentWide()
    return made
