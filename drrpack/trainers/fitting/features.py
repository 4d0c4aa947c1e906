"""Fit the small classifier behind the perceptual loss.

A replay memory is judged by the accuracy of classifiers trained on it. So the VQ-VAE is fitted not
only on pixels but also on the features of a classifier: the perceptual loss of Johnson et al., ECCV
2016. The classifier is trained only on the classes that the codec is fitted on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.trainers.fitting.loop import NetworkTask
from drrpack.trainers.learning import augment
from drrpack.trainers.learning.batches import normalise
from drrpack.trainers.learning.resnet import ResNet18, resnet18_for

PEAK_LEARNING_RATE = 0.1
LABEL_SMOOTHING = 0.1


class Features(nn.Module):
    """Activations of a ResNet-18 after its stem and after each of its four stages."""

    def __init__(self, network: ResNet18) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) in [-1, 1] to maps (B, C, h, w), each place of length one."""
        x = self.network.begun(2 * images)  # 2: the scale of `batches.normalise`
        maps = [x]
        for index, block in enumerate(self.network.blocks):
            x = block(x)
            if index % 2:
                maps.append(x)
        return [F.normalize(map, dim=1, eps=1e-6) for map in maps]

    def distance(self, output: Tensor, images: Tensor) -> Tensor:
        """How far two batches are apart: squared differences, summed over channels, averaged over
        places and maps."""
        with torch.no_grad():
            wanted = self(images)
        pairs = zip(self(output), wanted, strict=True)
        return torch.stack([(a - b).square().sum(1).mean() for a, b in pairs]).mean()


class FeatureFit(NetworkTask):
    """The `FitTask` of the classifier; batches are rows (B,) of its images and labels.

    ``images`` is uint8 (N, H, W, 3), ``labels`` int64 (N,); ``width`` is the network's, of which
    ResNet-18 has 64.
    """

    stage = "features"

    def __init__(self, images: Tensor, labels: Tensor, device: torch.device, width: int) -> None:
        self.images, self.labels, self.device = images, labels, device
        made = resnet18_for((images.shape[1], images.shape[2]))
        self.network = made(int(labels.max()) + 1, width).to(device)
        self.network.to(memory_format=torch.channels_last).train()
        optimiser = torch.optim.SGD(
            self.network.parameters(), PEAK_LEARNING_RATE, 0.9, weight_decay=5e-4, nesterov=True
        )
        super().__init__(self.network, optimiser, PEAK_LEARNING_RATE)

    def step(self, batch: Tensor, fraction: float, generator: torch.Generator) -> dict[str, float]:
        self.set_learning_rate(fraction)
        pixels, wanted = self.images[batch], self.labels[batch].to(self.device)
        pad = augment.crop_pad(*pixels.shape[1:3])
        drawn = augment.draw(len(pixels), pad, generator)
        views = normalise(augment.flip_and_crop(pixels, drawn, pad).to(self.device))
        views, wanted = self.share.own(views), self.share.own(wanted)
        logits = self.network(views)
        loss = F.cross_entropy(logits, wanted, label_smoothing=LABEL_SMOOTHING)
        self.descend(loss, len(batch))
        right = (logits.argmax(1) == wanted).float().mean()
        loss, right = (self.share.mean(one, len(batch)) for one in (loss, right))
        return {"loss": loss.item(), "accuracy": 100 * right.item()}

    def finish(self) -> Features:
        """The fitted network as `Features`, frozen."""
        return Features(self.network)
