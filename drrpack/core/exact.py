"""Networks in integers, which compute the same bits on every machine.

A bits-back decoder runs the networks again, and one wrong bit in one probability destroys the rest
of a stream. Floating-point sums depend on their order, and so on batch size, threads and hardware;
sums of integers below 2**24 (float32) or 2**53 (float64) do not. Every number here is an integer
that a float tensor holds, the *carrier*:

- a layer multiplies integer activations with int8 weights (`drrpack.core.int_layer`); the bound of
  every partial sum is derived from the weights, for each output channel, when they are frozen or
  loaded;
- the sum is rescaled by a power of two and rounded half up, which is exact below the bound;
- non-linearities are clamps; probabilities come from integer tables (`drrpack.core.probability`).

While a network is fitted the same layers run on quantised weights with straight-through gradients,
so a fitted network and its frozen form compute the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from drrpack.core.settings import own_settings, without_nnpack

SUM_LIMIT = 2**23  # half of float32's exact range, so that rounding half up is exact as well
WEIGHT_MAX = 127
ACTIVATION_MAX = 255  # after a non-linearity: eight bits, without a sign
ACTIVATION_BITS = 5  # an activation of 1.0 is the integer 32
SIGNED_MAX = 511  # residual streams
WEIGHT_BITS_MAX = 20  # fractional bits of a weight


class _RoundHalfUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx: object, *grad: Tensor) -> Tensor:
        return grad[0]


def round_half_up(x: Tensor) -> Tensor:
    """``floor(x + 1/2)``, with the gradient of the identity."""
    out: Tensor = _RoundHalfUp.apply(x)
    return out


def noise(*shape: int, spread: float = 1.0) -> Tensor:
    # on the meta device PyTorch would import its compiler for a draw
    empty = torch.empty(shape, dtype=torch.float32)
    return empty if empty.is_meta else empty.normal_(std=spread)


def relu(x: Tensor) -> Tensor:
    """The only non-linearity: a clamp to the eight bits that a convolution accepts."""
    return x.clamp(0, ACTIVATION_MAX)


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """`own_settings`, no gradients, and nothing on ``device`` whose transforms are not exact.

    NNPACK, which PyTorch takes for batches of 16 and more where oneDNN is off, convolves by
    Winograd and Fourier transforms, and errs by more than a half. TF32 and bfloat16 products need
    no switch: operands have eight bits, and on a GPU the carrier is float64.
    """
    with own_settings(device.type), without_nnpack, torch.inference_mode():
        yield
