"""What layers of integers have in common: weights that are fitted, and the integers they become."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drrpack.core.errors import ExactnessError
from drrpack.core.exact import (
    ACTIVATION_BITS,
    ACTIVATION_MAX,
    SIGNED_MAX,
    SUM_LIMIT,
    WEIGHT_BITS_MAX,
    WEIGHT_MAX,
    noise,
    round_half_up,
)
from drrpack.core.int8 import Int8Product, if_exact

# The integers of a layer: weight, and of a product bias and shift.
Arrays = dict[str, NDArray[np.integer]]
Index = tuple[slice | None, ...]


class Limits(TypedDict, total=False):
    """Of a layer's inputs and outputs; see `IntProduct`."""

    in_max: int
    in_bits: int
    out_bits: int
    low: int
    high: int


def drawn(outputs: int, inputs: int, *kernel: int, gain: float) -> Tensor:
    """Random weights (outputs, inputs, *kernel), so large that a rectified layer keeps the variance
    of its inputs, times ``gain``."""
    spread = gain * math.sqrt(2.0 / (inputs * math.prod(kernel)))
    return noise(outputs, inputs, *kernel, spread=spread)


class IntLayer(nn.Module, ABC):
    """A layer that computes with integers: its rounded weights or, once frozen, fixed ones.

    The frozen integers are buffers, which move as the weights do; the state dict has the weights
    alone, from which they can be computed.
    """

    frozen_weight: Tensor | None

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.register_buffer("frozen_weight", None, persistent=False)

    @property
    def is_frozen(self) -> bool:
        return self.frozen_weight is not None

    @abstractmethod
    def freeze(self, carrier: torch.dtype = torch.float32) -> None:
        """Fix the integers, check their bound and hold them in ``carrier``."""

    def thaw(self) -> None:
        """The inverse of `freeze`: compute with what the weights are, from now on."""
        self.frozen_weight = None

    @abstractmethod
    def arrays(self) -> Arrays:
        """The frozen integers."""

    @abstractmethod
    def load_arrays(self, arrays: Arrays) -> None:
        """The inverse of `arrays`; the layer is frozen then.

        Raises:
            ExactnessError: they are those of a layer of another shape, or out of bounds.
        """


class IntProduct(IntLayer):
    """Sums of products with weights, followed by rescaling, rounding and a clamp.

    The output is ``clamp(floor((sum + bias) / 2**shift + 1/2), low, high)``.

    Args:
        weight: to begin with, of one of `drrpack.core.convolution` or `drrpack.core.dense`.
        outputs: how many channels come out, of which each has a bias and a shift.
        in_max: largest magnitude of an input; the bound of the sums rests on it. Inputs of up to
            127 may have either sign; 255 is said of inputs that have none.
        in_bits, out_bits: fractional bits, so that the integer ``i`` stands for ``i / 2**bits``.
        low, high: limits of the output; ``low=0`` is a rectifier.
    """

    by_transform: ClassVar[bool]  # some GPU algorithms transform, and err by less than one half
    beside_sums: ClassVar[Index]  # one number a channel beside the sums
    beside_weights: ClassVar[Index]  # and beside the weights
    inside: ClassVar[tuple[int, ...]]  # the axes of the weights that one channel sums over

    frozen_bias: Tensor | None
    frozen_scale: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        outputs: int,
        *,
        in_max: int = ACTIVATION_MAX,
        in_bits: int = ACTIVATION_BITS,
        out_bits: int = ACTIVATION_BITS,
        low: int = -SIGNED_MAX,
        high: int = SIGNED_MAX,
    ) -> None:
        super().__init__(weight)
        self.bias = nn.Parameter(torch.zeros(outputs, dtype=torch.float32))
        self.in_max, self.in_bits, self.out_bits = in_max, in_bits, out_bits
        self.low, self.high = low, high
        self.finest = WEIGHT_BITS_MAX  # coarser weights take fewer bits once they are packed
        self.register_buffer("frozen_bias", None, persistent=False)
        self.register_buffer("frozen_scale", None, persistent=False)
        self.int8: Int8Product | None = None  # of the frozen weights
        self.least, self.in_bytes = 0, False  # see `use_int8`

    @abstractmethod
    def sums(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The sums of products of ``x`` with integer weights, ``bias`` added."""

    @abstractmethod
    def int8_product(self, weight: Tensor, signed: bool) -> Int8Product:
        """The same by eight-bit kernels, of inputs with a sign or without."""

    def forward(self, x: Tensor) -> Tensor:
        int8, places = self.int8, x.numel() // x.shape[1]
        weight, bias, scale = self.frozen or self.quantised()
        if int8 is not None and places >= self.least and not torch.is_grad_enabled():
            return self.narrowed(int8, x, bias, scale)
        # bytes where the layer before has an eight-bit kernel and this one has none
        return self.rescaled(self.sums(x.to(weight.dtype), weight, bias), scale)

    def narrowed(self, int8: Int8Product, x: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
        """The output by ``int8``."""
        out = self._rescaled_in_place(int8(x, bias), scale[self.beside_sums])
        return out.to(torch.uint8) if self.in_bytes else out

    def rescaled(self, total: Tensor, scale: Tensor) -> Tensor:
        """The output that sums become; it may take their place in memory."""
        scale = scale[self.beside_sums]
        if torch.is_grad_enabled():
            total = total.round() if self.is_frozen else total
            return round_half_up(total * scale).clamp(self.low, self.high)
        if self.by_transform:
            total.round_()
        return self._rescaled_in_place(total, scale)

    def _rescaled_in_place(self, total: Tensor, scale: Tensor) -> Tensor:
        # Most of the time goes into passes over memory.
        return total.mul_(scale).add_(0.5).floor_().clamp_(self.low, self.high)

    # the integers, as long as the weights are fitted

    def quantised(self) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weights and bias and the scale ``2**-shift``, as float tensors with gradients."""
        exponent = self._exponent()
        unit = torch.exp2(exponent)
        weight = round_half_up(self.weight * unit[self.beside_weights])
        bias = round_half_up(self.bias * unit * 2.0**self.in_bits)
        scale = torch.exp2(self.out_bits - self.in_bits - exponent)
        return weight.clamp(-WEIGHT_MAX, WEIGHT_MAX), bias, scale

    def magnitudes(self, weight: Tensor) -> Tensor:
        """What one sum can hold at most: float64 (channels, taps)."""
        return weight.detach().double().abs().flatten(1)

    @torch.no_grad()
    def _exponent(self) -> Tensor:
        """The finest power of two for each channel with int8 weights and sums below the limit."""
        taps = self.magnitudes(self.weight)  # float64: exact for fp16 weights, in any order
        by_weight = WEIGHT_MAX / self.weight.abs().amax(self.inside).double().clamp_min(1e-6)
        room = SUM_LIMIT - 1 - self.in_max * taps.shape[1]  # a weight may round up by a half
        reach = self.in_max * taps.sum(1) + self.bias.double().abs() * 2.0**self.in_bits
        finest = torch.minimum(by_weight, room / reach.clamp_min(1e-6))
        exponent = torch.frexp(finest).exponent - 1  # floor of log2, without its rounding
        least = max(0, self.out_bits - self.in_bits)
        return exponent.clamp(least, max(least, self.finest)).to(self.weight.dtype)

    # the integers, once they are frozen

    @property
    def frozen(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Integer weights and bias and the scale ``2**-shift``; None in a layer that is fitted."""
        held = self._buffers  # PyTorch takes long to find them as attributes
        weight, bias, scale = held["frozen_weight"], held["frozen_bias"], held["frozen_scale"]
        if weight is None or bias is None or scale is None:
            return None
        return weight, bias, scale

    def freeze(self, carrier: torch.dtype = torch.float32) -> None:
        with torch.no_grad():
            weight, bias, scale = self.frozen or self.quantised()
            self._check(weight, bias)
            self._hold(self.arranged(weight.to(carrier)), bias.to(carrier), scale.to(carrier))

    def arranged(self, weight: Tensor) -> Tensor:
        """Frozen weights in the memory layout that is fastest."""
        return weight

    def thaw(self) -> None:
        super().thaw()
        self._hold(None, None, None)

    def _hold(self, weight: Tensor | None, bias: Tensor | None, scale: Tensor | None) -> None:
        self.int8 = None  # it was of other weights
        self.frozen_weight, self.frozen_bias, self.frozen_scale = weight, bias, scale

    def _check(self, weight: Tensor, bias: Tensor) -> None:
        reach = self.in_max * self.magnitudes(weight).sum(1) + bias.double().abs()
        worst = int(reach.max())
        if worst >= SUM_LIMIT:
            raise ExactnessError(
                f"a convolution's sums may reach {worst}, but only sums below {SUM_LIMIT} are "
                "exact in float32; the weights are damaged or come from another program"
            )

    def arrays(self) -> Arrays:
        """The frozen integers: weight int8, of the shape of the weights; bias int32 (O,); shift
        int8 (O,)."""
        assert self.frozen is not None, "freeze before storing"
        weight, bias, scale = (t.cpu().double().numpy() for t in self.frozen)
        shift = -np.log2(scale)
        assert (shift == np.rint(shift)).all()
        return {
            "weight": weight.astype(np.int8),
            "bias": bias.astype(np.int32),
            "shift": shift.astype(np.int8),
        }

    def load_arrays(self, arrays: Arrays) -> None:
        weight, bias, shift = (
            torch.from_numpy(arrays[name].astype(np.float64))
            for name in ("weight", "bias", "shift")
        )
        if weight.shape != self.weight.shape or {bias.shape, shift.shape} != {self.bias.shape}:
            raise ExactnessError(
                f"a layer has weights of shape {tuple(weight.shape)} where "
                f"{tuple(self.weight.shape)} was expected"
            )
        if shift.min() < 0 or shift.max() > 40:
            raise ExactnessError("a layer's shift is outside 0 to 40")
        if weight.max() > WEIGHT_MAX or weight.min() < -WEIGHT_MAX - 1:
            raise ExactnessError(f"a layer's weights are outside -{WEIGHT_MAX + 1} to {WEIGHT_MAX}")
        self._check(weight, bias)
        self._hold(weight.float(), bias.float(), torch.exp2(-shift).float())
        exponent = shift + self.out_bits - self.in_bits
        with torch.no_grad():
            self.weight.copy_(weight * torch.exp2(-exponent)[self.beside_weights])
            self.bias.copy_(bias * torch.exp2(-exponent - self.in_bits))

    # eight-bit kernels

    def use_int8(self, least: int = 0, in_bytes: bool = False) -> None:
        """From now on the frozen weights are multiplied by `drrpack.core.int8`, on the CPU.

        Only where inputs have ``least`` places, over all images: for few the kernels are no
        faster. With ``in_bytes`` activations come out as uint8, a quarter of the memory, which
        every layer takes. Nothing changes where PyTorch has no kernel for this layer, or one that
        does not give the sums that floats give.
        """
        assert self.frozen is not None, "freeze before"
        assert self.in_max <= WEIGHT_MAX or self.in_max == ACTIVATION_MAX, "signed or not?"
        weight, signed = self.frozen[0], self.in_max <= WEIGHT_MAX
        self.int8 = if_exact(lambda: self.int8_product(weight, signed))
        self.least = least
        self.in_bytes = in_bytes and (self.low, self.high) == (0, ACTIVATION_MAX)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """PyTorch moves a layer by it; the kernels stay behind, as they are of the CPU."""
        self.int8 = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, object]:
        """A copy does without eight-bit kernels, whose weights PyTorch can't copy."""
        return {**self.__dict__, "int8": None, "in_bytes": False}
