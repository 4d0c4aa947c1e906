"""Weight transfer: a network learns on by the scales of its kernels, which stay as they are.

Sun et al., Meta-Transfer Learning for Few-Shot Learning (CVPR 2019), section 4.2: scaling and
shifting. Batch norms shift here already, so convolutions have no bias to shift.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from drrpack.trainers.learning.network import AnyNetwork


class ScaledConv2d(nn.Module):
    """A convolution with a factor for each of its kernels: one for each output and input."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.plain = plain
        self.scale = nn.Parameter(torch.ones_like(plain.weight[:, :, :1, :1]))

    def weight(self) -> Tensor:
        """The kernels times their factors: (outputs, inputs, h, w)."""
        return self.plain.weight * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """What the convolution makes of (B, inputs, H, W) with these kernels."""
        found: Tensor = functional_call(self.plain, {"weight": self.weight()}, (x,))
        return found


def with_scales(network: AnyNetwork) -> AnyNetwork:
    """A copy that computes the same, whose convolutions have factors, all one, to be trained."""
    scaled = copy.deepcopy(network)
    for name, layer in list(scaled.named_modules()):
        if isinstance(layer, nn.Conv2d):
            scaled.set_submodule(name, ScaledConv2d(layer))
    return scaled


def transferred(network: nn.Module) -> Iterator[nn.Parameter]:
    """What weight transfer trains of a network `with_scales`: all but the kernels themselves."""
    layers = network.modules()
    kernels = {id(layer.plain.weight) for layer in layers if isinstance(layer, ScaledConv2d)}
    return (parameter for parameter in network.parameters() if id(parameter) not in kernels)


def without_scales(network: AnyNetwork) -> AnyNetwork:
    """A copy of a network `with_scales` that computes the same by plain convolutions."""
    plain = copy.deepcopy(network)
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, ScaledConv2d):
            layer.plain.weight = nn.Parameter(layer.weight().detach())
            plain.set_submodule(name, layer.plain)
    return plain
