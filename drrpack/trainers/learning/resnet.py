"""ResNet-18 for small images: a 3x3 stem and no max-pool, any image size, any width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLOSED = -1e4  # a logit whose class has no probability, and finite, so that 0 times it is 0
BLOCKS = (2, 2, 2, 2)  # two convolutions each, and the stem and the dense layer: 18


# Whatever a process's default dtype is: see `drrpack.core.settings`.
Conv2d = partial(nn.Conv2d, dtype=torch.float32)
BatchNorm2d = partial(nn.BatchNorm2d, dtype=torch.float32)
Linear = partial(nn.Linear, dtype=torch.float32)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm2d(outputs)
        self.conv2 = Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm2d(outputs)
        self.stride = stride
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            # `forward` takes every stride-th pixel: a 1x1 convolution with a stride and 8 or 12
            # channels, channels last, writes past its buffers in oneDNN 3.13 (its issue 6035)
            self.shortcut = nn.Sequential(
                Conv2d(inputs, outputs, 1, bias=False), BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x[:, :, :: self.stride, :: self.stride]))


class ResNet18(nn.Module):
    """The paper's classifier; ``width`` is its 'in-planes', 64 in ResNet-18 (appendix D).

    The dense layer has all ``classes`` of a run from the start, of which the first ``seen`` are
    open: logits of the others are `CLOSED`. So shapes are the same in every phase.

    The stages have ``width * (1, 2, 4, 8)`` filters and strides 1, 2, 2, 2: an image of 32x32
    ends as 4x4, one of 8x8 as 1x1. With 100 classes and width 64: 11,220,132 parameters.
    """

    def __init__(self, classes: int, width: int = 64, seen: int | None = None) -> None:
        super().__init__()
        self.width, self.seen = width, classes if seen is None else seen
        self.stem = Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn = BatchNorm2d(width)
        blocks: list[nn.Module] = []
        inputs = width
        for stage, count in enumerate(BLOCKS):
            outputs = width << stage
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(inputs, outputs, stride))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.feature_size = inputs
        self.head = Linear(inputs, classes)
        self.apply(_initialise)

    def features(self, x: Tensor) -> Tensor:
        """What the dense layer sees: (B, 3, H, W) float -> (B, 8 * width)."""
        x = F.relu(self.bn(self.stem(x)))  # (B, width, H, W)
        x = self.blocks(x)  # (B, 8 * width, H/8, W/8)
        # not adaptive_avg_pool2d: its backward pass on a GPU adds in no fixed order
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits: (B, 3, H, W) float -> (B, classes)."""
        return self.classify(self.features(x))

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, 8 * width) to logits (B, classes)."""
        logits: Tensor = self.head(features)
        closed = torch.arange(logits.shape[1], device=logits.device) >= self.seen
        return logits.masked_fill(closed, CLOSED)


@contextmanager
def running_moments_kept(network: nn.Module) -> Iterator[None]:
    """Batch norms in training leave their running moments alone while anybody is inside."""
    norms = [
        m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def state_bytes(network: nn.Module) -> int:
    """What a copy of a network takes: its parameters and buffers, in the types they have."""
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def _initialise(module: nn.Module) -> None:
    """He's initialisation of the convolutions; the dense layer keeps PyTorch's own."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
