"""The nearest mean of exemplars: a classifier that needs features and no head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from drrpack.core.errors import MethodError
from drrpack.core.settings import float_arithmetic
from drrpack.trainers.learning.classifier import extract_features
from drrpack.trainers.learning.network import Network, snapshot


class NearestMean:
    """The label is the class whose mean feature is nearest (Rebuffi et al., iCaRL, CVPR 2017,
    algorithm 1). Features are scaled to length one, and so are their means, as there."""

    def __init__(self, network: Network, means: Tensor, device: torch.device) -> None:
        self.network = snapshot(network, device)
        self.means = means  # (classes, feature_size) float32 on the CPU, of length one
        self.device = device

    @classmethod
    def fit(
        cls, network: Network, images: Tensor, labels: Tensor, device: torch.device
    ) -> NearestMean:
        """The means of images (N, H, W, 3) uint8 with labels (N,) in 0..classes-1.

        Raises:
            MethodError: a class below the largest label has no image.
        """
        present = torch.bincount(labels)
        if not present.all():
            missing = (present == 0).nonzero().flatten().tolist()
            raise MethodError(
                f"a nearest mean of {len(present)} classes: found no image of labels "
                f"{missing[:5]}, expected one at least of each class seen; give exemplars of all"
            )
        with float_arithmetic():
            features = F.normalize(extract_features(network, images, device))
            per_class = [features[labels == label] for label in range(len(present))]
            means = torch.stack([members.mean(0) for members in per_class])
            return cls(network, F.normalize(means), device)

    @float_arithmetic()
    def predict(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 on any device -> (N,) int64 labels on the CPU."""
        return self.scores(images).argmax(1)

    @float_arithmetic()
    def scores(self, images: Tensor) -> Tensor:
        """Inner products with the means: (N, H, W, 3) uint8 -> (N, classes) float32. Of vectors of
        length one, the nearest is the one with the largest."""
        features = F.normalize(extract_features(self.network, images, self.device))
        return features @ self.means.T

    def state_dict(self) -> dict[str, object]:
        """The network's weights and the means."""
        weights = {name: value.cpu() for name, value in self.network.state_dict().items()}
        return {"weights": weights, "means": self.means}
