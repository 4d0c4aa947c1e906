"""Convolutions of integers, and transposed ones, which double the sides of their input."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor
from torch.nn import functional as F

from drrpack.core.int8 import Int8Convolution, Int8Product
from drrpack.core.int_layer import IntProduct, Limits, drawn

FEW_OUTPUTS = 16


class IntConv2d(IntProduct):
    """A convolution of integers, "same" padding: (B, I, H, W) to (B, O, H, W); weights
    (O, I, k, k)."""

    by_transform = True
    beside_sums = (slice(None), None, None)
    beside_weights = (slice(None), None, None, None)
    inside = (1, 2, 3)

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, gain: float = 1.0,
        **limits: Unpack[Limits],
    ) -> None:  # fmt: skip
        super().__init__(drawn(outputs, inputs, kernel, kernel, gain=gain), outputs, **limits)
        self.padding = kernel // 2

    def sums(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x, weight, bias, padding=self.padding)

    def int8_product(self, weight: Tensor, signed: bool) -> Int8Product:
        return Int8Convolution(weight, self.padding, signed)


class IntConvTranspose2d(IntProduct):
    """A transposed convolution of integers, kernel 4, stride 2: (B, I, H, W) to (B, O, 2H, 2W);
    weights (I, O, 4, 4)."""

    by_transform = True
    beside_sums = (slice(None), None, None)
    beside_weights = (None, slice(None), None, None)
    inside = (0, 2, 3)

    def __init__(
        self, inputs: int, outputs: int, *, gain: float = 1.0, **limits: Unpack[Limits]
    ) -> None:
        weight = drawn(outputs, inputs, 4, 4, gain=gain)
        super().__init__(weight.transpose(0, 1).contiguous(), outputs, **limits)

    def arranged(self, weight: Tensor) -> Tensor:
        return weight.contiguous(memory_format=torch.channels_last)  # a tenth faster

    def sums(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if weight.shape[1] > FEW_OUTPUTS:  # for few, what follows is twice as fast
            return F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
        return _spread(F.conv2d(x, _between(weight), bias.repeat_interleave(4), padding=1))

    def narrowed(self, int8: Int8Product, x: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
        bias, scale = (each.repeat_interleave(4) for each in (bias, scale))
        return _spread(super().narrowed(int8, x, bias, scale))

    def int8_product(self, weight: Tensor, signed: bool) -> Int8Product:
        return Int8Convolution(_between(weight), 1, signed)

    def magnitudes(self, weight: Tensor) -> Tensor:
        """Each output sees a quarter of the taps; the largest quarter bounds the channel."""
        quarters = _quarters(weight.detach().double().abs()).flatten(3).flatten(1, 2)
        best = quarters.sum(2).argmax(1)  # of (O, 4, taps)
        chosen: Tensor = quarters[torch.arange(len(best), device=best.device), best]
        return chosen


def _quarters(weight: Tensor) -> Tensor:
    """Weights (I, O, 4, 4) by what sees them: (O, 2, 2, I, 2, 2) for outputs at odd and even rows
    and columns."""
    inputs, outputs = weight.shape[:2]
    return weight.reshape(inputs, outputs, 2, 2, 2, 2).permute(1, 3, 5, 0, 2, 4)


def _between(weight: Tensor) -> Tensor:
    """The weights of a convolution (4 O, I, 2, 2) for the four outputs between four inputs."""
    return _quarters(weight).flip(4, 5).flatten(0, 2)


def _spread(between: Tensor) -> Tensor:
    """What the convolution of `_between` gives, (B, 4 O, H + 1, W + 1), as (B, O, 2 H, 2 W)."""
    return F.pixel_shuffle(between, 2)[:, :, 1:-1, 1:-1]
