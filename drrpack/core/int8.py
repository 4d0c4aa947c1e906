"""Convolutions of eight-bit integers by the instructions that processors have for them.

Sums of integers in float32 are exact (`drrpack.core.exact`), but take several times the work of
int8. oneDNN has kernels that sum products of eight bits in int32, which is exact on processors with
VNNI instructions; without these it may saturate in between. PyTorch has them for quantised
networks, and no public name for them: so they are used where they are there and compute what would
saturate. The integers are the same as without them.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

OFFSET = 128  # added to inputs with a sign, as the kernels take inputs without


class Int8Convolution:
    """A convolution of integers with a fixed weight (O, I, k, k) in [-128, 127], stride 1.

    Inputs (B, I, H, W) are integers of any dtype, from 0 to 255 or, if ``signed``, -127 to 127.
    Sums below 2^24 come out as float32 integers, exactly.
    """

    def __init__(self, weight: Tensor, padding: int, signed: bool) -> None:
        self.outputs = len(weight)
        self.offset = OFFSET if signed else 0
        self.window = ([1, 1], [padding, padding], [1, 1], 1)  # stride, padding, dilation, groups
        self.scales = torch.ones(self.outputs, dtype=torch.float32)
        self.zeros = torch.zeros(self.outputs, dtype=torch.int32)
        self.weight = weight.to(torch.int8)
        self.arranged = torch.ops.onednn.qconv_prepack(
            self.weight, self.scales, 1.0, self.offset, *self.window
        )

    def __reduce__(self) -> tuple[object, ...]:
        """A copy arranges its weights anew: PyTorch can't copy what they are arranged to."""
        return _again, (self.weight, self.window[1][0], self.offset > 0)

    def __call__(self, x: Tensor, bias: Tensor) -> Tensor:
        """The sums (B, O, H', W'), ``bias`` (O,) added."""
        pixels = (x + self.offset if self.offset else x).to(torch.uint8)
        sums: Tensor = torch.ops.onednn.qconv2d_pointwise(
            pixels, 1.0, self.offset, self.arranged, self.scales, self.zeros, bias, *self.window,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return sums


def _again(weight: Tensor, padding: int, signed: bool) -> Int8Convolution | None:
    """A copy, wherever it is made: without the kernels there is none, and nobody needs it."""
    return Int8Convolution(weight, padding, signed) if available() else None


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether this PyTorch has the kernels, and this processor computes with them exactly."""
    try:
        if not torch.cpu._is_vnni_supported():
            return False
        return all(
            torch.equal(Int8Convolution(weight, side // 2, signed)(x, bias), expected)
            for side, signed in ((1, False), (2, False), (3, False), (3, True))
            for x, weight, bias, expected in [_extremes(side, signed)]
        )
    except (AttributeError, RuntimeError, TypeError):  # another PyTorch, or another processor
        return False


def _extremes(side: int, signed: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs, weights and a bias whose products are as large as can be, all of one sign or of both,
    and the sums, which fit into float32."""
    inputs = 64
    high = torch.full((5, inputs, 9, 9), 127.0 if signed else 255.0, dtype=torch.float32)
    high[1::2, ::2] = -127.0 if signed else 0.0
    weight = torch.full((20, inputs, side, side), 127.0, dtype=torch.float32)
    weight[1::3] = -128.0
    weight[2::3, ::2] = -128.0
    bias = torch.arange(20, dtype=torch.float32) * 1001 - 9000
    sums = F.conv2d(high.double(), weight.double(), bias.double(), padding=side // 2)
    return high, weight, bias, sums.float()
