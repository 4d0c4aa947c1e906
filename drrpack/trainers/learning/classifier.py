"""Classifiers: trained networks that predict the labels of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, runtime_checkable

import torch
from torch import Tensor

from drrpack.core.settings import own_settings
from drrpack.trainers.learning.batches import normalise
from drrpack.trainers.learning.network import AnyNetwork, Network, new_network, snapshot
from drrpack.trainers.learning.recipes import Recipe
from drrpack.trainers.learning.resnet import ResNet18, resnet18_for
from drrpack.trainers.learning.training import autocast, reproducible, train_network
from drrpack.trainers.learning.watch import TrainReport

PREDICT_BATCH = 500


@runtime_checkable
class Classifier(Protocol):
    """What a method hands back: something that tells the label of raw images."""

    def predict(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 on any device -> (N,) int64 labels on the CPU."""

    def state_dict(self) -> dict[str, object]:
        """The weights, for the checkpoint: tensors, numbers, strings, lists and dicts only."""


class NetworkClassifier(Generic[AnyNetwork]):
    """A network whose largest logit is the label."""

    def __init__(self, network: AnyNetwork, device: torch.device) -> None:
        self.network = network
        self.device = device

    def predict(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 on any device -> (N,) int64 labels on the CPU."""
        self.network.eval()
        return _in_batches(self.network, images, self.device, lambda logits: logits.argmax(1))

    def scores(self, images: Tensor) -> Tensor:
        """The probabilities of the classes: (N, H, W, 3) uint8 -> (N, classes) float32."""
        self.network.eval()
        return _in_batches(
            self.network, images, self.device, lambda logits: logits.float().softmax(1)
        )

    def state_dict(self) -> dict[str, object]:
        return {name: value.cpu() for name, value in self.network.state_dict().items()}


def extract_features(network: Network, images: Tensor, device: torch.device) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, feature_size) float32 on the CPU, in eval mode, not augmented.

    The network stays as it is, its mode and its device included.
    """
    frozen = snapshot(network, device)
    return _in_batches(frozen.features, images, device, lambda features: features.float())


@own_settings()
def _in_batches(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    device: torch.device,
    then: Callable[[Tensor], Tensor],
) -> Tensor:
    with torch.inference_mode(), reproducible(device), autocast(device):
        parts = [
            then(network(normalise(part.to(device)))).cpu()
            for part in torch.split(images, PREDICT_BATCH)
        ]
        return torch.cat(parts)


def train_classifier(
    images: Tensor,
    labels: Tensor,
    *,
    classes: int,
    seen: int,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    report: TrainReport | None = None,
) -> NetworkClassifier[ResNet18]:
    """A new ResNet-18 of ``recipe``'s width, and for the size of the images (B, H, W, 3), trained
    with cross-entropy; see `train_network`."""
    kind = resnet18_for((images.shape[1], images.shape[2]))
    network = new_network(lambda: kind(classes, recipe.width), seed)
    trained = train_network(
        network, images, labels, seen=seen, recipe=recipe, seed=seed, device=device, report=report
    )
    return NetworkClassifier(trained.network, device)
