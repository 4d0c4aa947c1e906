"""What a class-incremental method works with in each phase."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drrpack.trainers.incremental.exemplars import herd
from drrpack.trainers.incremental.phase_budget import PhaseBudget
from drrpack.trainers.incremental.phase_images import PhaseImages
from drrpack.trainers.incremental.phase_networks import PhaseNetworks
from drrpack.trainers.learning.network import Network


@dataclass(frozen=True, kw_only=True)
class PhaseContext(PhaseImages, PhaseNetworks, PhaseBudget):
    """The interface of a method to one phase: its images, its trainings and the byte budget.

    Labels are positions in ``seen``, from 0.
    """

    def herded(self, network: Network, label: int) -> Tensor:
        """The raw training images (n, H, W, 3) of a class, the best exemplars first by a network's
        features (Rebuffi et al., iCaRL, CVPR 2017, algorithm 4). Needs 'raw_new', or 'raw_seen'."""
        images, _ = self.raw([label])
        features = self.features(network, images).double().numpy()
        return images[torch.from_numpy(herd(features, len(images)))]
