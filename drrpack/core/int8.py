"""Products of eight-bit integers by the instructions that processors have for them.

Sums of integers in float32 are exact (`drrpack.core.exact`), but take several times the work of
int8. oneDNN has kernels that sum products of eight bits in int32, which is exact on processors with
VNNI instructions; without these it may saturate in between. PyTorch has them for quantised
networks, and no public name for them: so they are used where they are there and compute what would
saturate. The integers are the same as without them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

OFFSET = 128  # added to inputs with a sign, as the kernels take inputs without


class Int8Product:
    """Sums of products with a fixed weight (O, ...) of integers in [-128, 127].

    Inputs are integers of any dtype, from 0 to 255 or, if ``signed``, from -127 to 127. Sums below
    2^24 come out as float32 integers, exactly; a bias (O,) is added to them.
    """

    def __init__(self, weight: Tensor, signed: bool) -> None:
        self.outputs, self.weight = len(weight), weight.to(torch.int8)
        self.signed, self.offset = signed, OFFSET if signed else 0
        self.scales = torch.ones(self.outputs, dtype=torch.float32)
        self.zeros = torch.zeros(self.outputs, dtype=torch.int32)

    def __call__(self, x: Tensor, bias: Tensor) -> Tensor:
        raise NotImplementedError

    def arguments(self, x: Tensor, arranged: Tensor, bias: Tensor) -> tuple[object, ...]:
        """What the kernels begin with: inputs as bytes, weights, and scales of one."""
        narrow = (x + self.offset if self.offset else x).to(torch.uint8)
        return narrow, 1.0, self.offset, arranged, self.scales, self.zeros, bias


# Ends what a kernel is called with: the sums come out, with no operation behind them.
AS_THEY_ARE: tuple[object, ...] = (1.0, 0, torch.float32, "none", [], "")


class Int8Convolution(Int8Product):
    """Of inputs (B, I, H, W) with a weight (O, I, k, k), stride 1: sums (B, O, H', W')."""

    def __init__(self, weight: Tensor, padding: int, signed: bool) -> None:
        super().__init__(weight, signed)
        self.padding = padding
        self.window = ([1, 1], [padding, padding], [1, 1], 1)  # stride, padding, dilation, groups
        self.arranged = torch.ops.onednn.qconv_prepack(
            self.weight, self.scales, 1.0, self.offset, *self.window
        )

    def __call__(self, x: Tensor, bias: Tensor) -> Tensor:
        begin = self.arguments(x, self.arranged, bias)
        sums: Tensor = torch.ops.onednn.qconv2d_pointwise(*begin, *self.window, *AS_THEY_ARE)
        return sums

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (Int8Convolution, self.weight, self.padding, self.signed)


class Int8Linear(Int8Product):
    """Of inputs (N, I) with a weight (O, I): sums (N, O)."""

    def __init__(self, weight: Tensor, signed: bool) -> None:
        super().__init__(weight, signed)
        self.arranged = torch.ops.onednn.qlinear_prepack(self.weight, None)

    def __call__(self, x: Tensor, bias: Tensor) -> Tensor:
        begin = self.arguments(x, self.arranged, bias)
        sums: Tensor = torch.ops.onednn.qlinear_pointwise(*begin, *AS_THEY_ARE)
        return sums

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (Int8Linear, self.weight, self.signed)


def _again(kind: Callable[..., Int8Product], *arguments: object) -> Int8Product | None:
    """A copy, whose weights are arranged anew, as PyTorch can't copy what they are arranged to.
    Where it is made without the kernels, there is none, and nobody needs it."""
    return kind(*arguments) if available() else None


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether this PyTorch has the kernels, and this processor computes with them exactly."""
    try:
        if not torch.cpu._is_vnni_supported():
            return False
        return all(_is_exact(side, signed) for side in (0, 1, 2, 3) for signed in (False, True))
    except (AttributeError, RuntimeError, TypeError):  # another PyTorch, or another processor
        return False


def _is_exact(side: int, signed: bool) -> bool:
    """Whether products as large as can be, all of one sign or of both, are summed as in float64: by
    convolutions with kernels of ``side``, or dense layers where it is 0."""
    inputs, outputs = 48, 20  # sums of 3x3 stay below 2^24
    x = torch.full((5, inputs, 9, 9), 127.0 if signed else 255.0, dtype=torch.float32)
    x[1::2, ::2] = -127.0 if signed else 0.0
    weight = torch.full((outputs, inputs, max(1, side), max(1, side)), 127.0, dtype=torch.float32)
    weight[1::3] = -128.0
    weight[2::3, ::2] = -128.0
    bias = 1001 * torch.arange(outputs, dtype=torch.float32) - 9000
    if not side:
        x, weight = x.permute(0, 2, 3, 1).flatten(0, 2), weight.flatten(1)
        found = Int8Linear(weight, signed)(x, bias)
        return torch.equal(found.double(), F.linear(x.double(), weight.double(), bias.double()))
    found = Int8Convolution(weight, side // 2, signed)(x, bias)
    wanted = F.conv2d(x.double(), weight.double(), bias.double(), padding=side // 2)
    return torch.equal(found.double(), wanted)
