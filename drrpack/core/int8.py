"""Products of eight-bit integers by the instructions that processors have for them.

Sums of integers in float32 are exact (`drrpack.core.exact`), but take several times the work of
int8. oneDNN has kernels that sum products of eight bits in int32, which is exact on processors with
VNNI instructions; without these it may saturate in between. PyTorch has these kernels for its
quantised networks, and no public name for them. So they are used only where they are found, and
where products as large as can be come out right. The integers are the same as without them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from drrpack.core.settings import own_settings

OFFSET = 128  # added to inputs with a sign, as the kernels take inputs without


class Int8Product(ABC):
    """Sums of products with a fixed weight (O, ...) of integers in [-128, 127].

    Inputs are integers of any dtype, from 0 to 255 or, if ``signed``, from -127 to 127. Sums below
    2^24 come out as float32 integers, exactly; a bias (O,) is added to them.
    """

    def __init__(self, weight: Tensor, signed: bool) -> None:
        self.outputs, self.weight = len(weight), weight.to(torch.int8)
        self.signed, self.offset = signed, OFFSET if signed else 0
        self.scales = torch.ones(self.outputs, dtype=torch.float32, device="cpu")
        self.zeros = torch.zeros(self.outputs, dtype=torch.int32, device="cpu")

    @abstractmethod
    def __call__(self, x: Tensor, bias: Tensor) -> Tensor:
        """The sums, ``bias`` added."""

    def is_exact(self) -> bool:
        """Whether its sums of inputs as large as can be are those of floats, for few and many
        places: oneDNN chooses a kernel by all sizes."""
        low, high = (-127, 127) if self.signed else (0, 255)
        generator = torch.Generator().manual_seed(0)
        bias = 1001 * torch.arange(self.outputs, dtype=torch.float32, device="cpu") - 9000
        for shape in self.shapes():
            drawn = torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")
            for x in (torch.where(drawn < 0.5, low, high), torch.full_like(drawn, high)):
                x = x.float()
                if not torch.equal(self(x, bias), self.expected(x, bias)):
                    return False
        return True

    @abstractmethod
    def shapes(self) -> list[tuple[int, ...]]:
        """Of inputs to try out."""

    @abstractmethod
    def expected(self, x: Tensor, bias: Tensor) -> Tensor:
        """The sums by float32, which are exact below 2^24."""

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

    def shapes(self) -> list[tuple[int, ...]]:
        inputs = self.weight.shape[1]
        return [(1, inputs, 3, 3), (4, inputs, 8, 9)]

    def expected(self, x: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.float(), bias, padding=self.padding)


class Int8Linear(Int8Product):
    """Of inputs (N, I) with a weight (O, I): sums (N, O)."""

    def __init__(self, weight: Tensor, signed: bool) -> None:
        super().__init__(weight, signed)
        self.arranged = torch.ops.onednn.qlinear_prepack(self.weight, None)

    def __call__(self, x: Tensor, bias: Tensor) -> Tensor:
        begin = self.arguments(x, self.arranged, bias)
        sums: Tensor = torch.ops.onednn.qlinear_pointwise(*begin, *AS_THEY_ARE)
        return sums

    def shapes(self) -> list[tuple[int, ...]]:
        inputs = self.weight.shape[1]
        return [(1, inputs), (300, inputs)]

    def expected(self, x: Tensor, bias: Tensor) -> Tensor:
        return F.linear(x, self.weight.float(), bias)


def if_exact(make: Callable[[], Int8Product]) -> Int8Product | None:
    """The product that ``make`` makes; None where PyTorch has no kernel for it here, or one that
    errs."""
    try:
        made = make()
        return made if made.is_exact() else None
    except RuntimeError:
        return None


@lru_cache(maxsize=1)
@own_settings()
def available() -> bool:
    """Whether this PyTorch has the kernels, and this processor computes with them exactly."""
    try:
        if not torch.cpu._is_vnni_supported():
            return False
        return all(_extreme(side, signed).is_exact() for side in range(4) for signed in (0, 1))
    except (AttributeError, RuntimeError, TypeError):  # another PyTorch, or another processor
        return False


def _extreme(side: int, signed: int) -> Int8Product:
    """A product with weights as large as can be, of one sign or of both: a convolution with kernels
    of ``side``, or a dense layer where it is 0."""
    shape = (20, 48, max(1, side), max(1, side))  # so that sums of 3x3 stay below 2^24
    weight = torch.full(shape, 127.0, dtype=torch.float32)
    weight[1::3] = -128.0
    weight[2::3, ::2] = -128.0
    if not side:
        return Int8Linear(weight.flatten(1), bool(signed))
    return Int8Convolution(weight, side // 2, bool(signed))
