"""Networks in integers, which compute the same bits on every machine.

A bits-back decoder runs the networks again, and one wrong bit in one probability destroys the rest
of a stream. Floating-point sums depend on their order, and so on batch size, threads and hardware;
sums of integers below 2**24 (float32) or 2**53 (float64) do not. Every number here is an integer
that a float tensor holds, the *carrier*:

- a convolution multiplies integer activations with int8 weights; the bound of every partial sum is
  derived from the weights, for each output channel, when they are frozen or loaded;
- the sum is rescaled by a power of two and rounded half up, which is exact below the bound;
- non-linearities are clamps; probabilities come from integer tables (`drrpack.core.probability`).

While a network is fitted the same layers run on quantised weights with straight-through gradients,
so a fitted network and its frozen form compute the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.errors import ExactnessError
from drrpack.core.int8 import Int8Convolution, Int8Product, if_exact
from drrpack.core.settings import own_settings, without_nnpack

SUM_LIMIT = 2**23  # half of float32's exact range, so that rounding half up is exact as well
WEIGHT_MAX = 127
ACTIVATION_MAX = 255  # after a non-linearity: eight bits, without a sign
ACTIVATION_BITS = 5  # an activation of 1.0 is the integer 32
SIGNED_MAX = 511  # residual streams
WEIGHT_BITS_MAX = 20  # fractional bits of a weight


Arrays = dict[
    str, NDArray[np.integer]
]  # the integers of a layer: weight, and mostly bias and shift
Index = tuple[slice | None, ...]


class Limits(TypedDict, total=False):
    """Of a layer's inputs and outputs; see `IntConv2d`."""

    in_max: int
    in_bits: int
    out_bits: int
    low: int
    high: int
    gain: float


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


class IntConv2d(nn.Module):
    """A convolution of integers, "same" padding, followed by rescaling, rounding and a clamp.

    The output is ``clamp(floor((sum + bias) / 2**shift + 1/2), low, high)``.

    Args:
        in_max: largest magnitude of an input; the bound of the sums rests on it. Inputs of up to
            127 may have either sign; 255 is said of inputs that have none.
        in_bits, out_bits: fractional bits, so that the integer ``i`` stands for ``i / 2**bits``.
        low, high: limits of the output; ``low=0`` is a rectifier.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        in_max: int = ACTIVATION_MAX,
        in_bits: int = ACTIVATION_BITS,
        out_bits: int = ACTIVATION_BITS,
        low: int = -SIGNED_MAX,
        high: int = SIGNED_MAX,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.in_max, self.in_bits, self.out_bits = in_max, in_bits, out_bits
        self.low, self.high, self.padding = low, high, kernel // 2
        self.finest = WEIGHT_BITS_MAX  # coarser weights take fewer bits once they are packed
        spread = gain * math.sqrt(2.0 / (inputs * kernel * kernel))
        self.weight = nn.Parameter(noise(outputs, inputs, kernel, kernel, spread=spread))
        self.bias = nn.Parameter(torch.zeros(outputs, dtype=torch.float32))
        self.frozen: tuple[Tensor, Tensor, Tensor] | None = None
        self.int8: Int8Product | None = None  # of the frozen weights
        self.least, self.in_bytes = 0, False  # see `use_int8`

    def forward(self, x: Tensor) -> Tensor:
        int8, places = self.int8, x.numel() // x.shape[1]
        weight, bias, scale = self.frozen or self.quantised()
        if int8 is not None and places >= self.least and not torch.is_grad_enabled():
            return self._narrowed(int8, x, bias, scale)
        # bytes where the layer before has an eight-bit kernel and this one has none
        return self._rescaled(self._convolve(x.to(weight.dtype), weight, bias), scale)

    def _narrowed(self, int8: Int8Product, x: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
        """The output by ``int8``."""
        out = self._rescaled_in_place(int8(x, bias), scale[self._beside])
        return out.to(torch.uint8) if self.in_bytes else out

    def _rescaled(self, total: Tensor, scale: Tensor) -> Tensor:
        scale = scale[self._beside]
        if torch.is_grad_enabled():
            total = total if self.frozen is None else total.round()
            return round_half_up(total * scale).clamp(self.low, self.high)
        if self._by_transform:
            total.round_()
        return self._rescaled_in_place(total, scale)

    def _rescaled_in_place(self, total: Tensor, scale: Tensor) -> Tensor:
        # Most of the time goes into passes over memory.
        return total.mul_(scale).add_(0.5).floor_().clamp_(self.low, self.high)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x, weight, bias, padding=self.padding)

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
        self.int8 = if_exact(lambda: self._narrow(weight, signed))
        self.least = least
        self.in_bytes = in_bytes and (self.low, self.high) == (0, ACTIVATION_MAX)

    def __getstate__(self) -> dict[str, object]:
        """A copy does without eight-bit kernels, whose weights PyTorch can't copy."""
        return {**self.__dict__, "int8": None, "in_bytes": False}

    def _narrow(self, weight: Tensor, signed: bool) -> Int8Product:
        return Int8Convolution(weight, self.padding, signed)

    def quantised(self) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weights and bias and the scale ``2**-shift``, as float tensors with gradients."""
        exponent = self._exponent()
        unit = torch.exp2(exponent)
        weight = round_half_up(self.weight * unit[self._by_output])
        bias = round_half_up(self.bias * unit * 2.0**self.in_bits)
        scale = torch.exp2(self.out_bits - self.in_bits - exponent)
        return weight.clamp(-WEIGHT_MAX, WEIGHT_MAX), bias, scale

    _by_transform = True  # some GPU algorithms transform, and err by less than one half
    _beside: Index = (slice(None), None, None)  # one number a channel beside the sums
    _by_output: Index = (slice(None), None, None, None)  # and beside the weights

    def _magnitudes(self, weight: Tensor) -> Tensor:
        """What one sum can hold at most: float64 (channels, taps)."""
        return weight.detach().double().abs().flatten(1)

    @torch.no_grad()
    def _exponent(self) -> Tensor:
        """The finest power of two for each channel with int8 weights and sums below the limit."""
        taps = self._magnitudes(self.weight)  # float64: exact for fp16 weights, in any order
        by_weight = WEIGHT_MAX / self.weight.abs().amax(self._inside).double().clamp_min(1e-6)
        room = SUM_LIMIT - 1 - self.in_max * taps.shape[1]  # a weight may round up by a half
        reach = self.in_max * taps.sum(1) + self.bias.double().abs() * 2.0**self.in_bits
        finest = torch.minimum(by_weight, room / reach.clamp_min(1e-6))
        exponent = torch.frexp(finest).exponent - 1  # floor of log2, without its rounding
        return exponent.clamp(self._least, max(self._least, self.finest)).to(self.weight.dtype)

    _inside: tuple[int, ...] = (1, 2, 3)  # the axes of the weights that one channel sums over

    @property
    def _least(self) -> int:
        return max(0, self.out_bits - self.in_bits)

    def freeze(self, carrier: torch.dtype = torch.float32) -> None:
        """Fix the integers, check their bound and hold them in ``carrier``."""
        with torch.no_grad():
            weight, bias, scale = self.frozen or self.quantised()
            self._check(weight, bias)
            self.int8 = None
            self.frozen = (weight.to(carrier), bias.to(carrier), scale.to(carrier))

    def _check(self, weight: Tensor, bias: Tensor) -> None:
        reach = self.in_max * self._magnitudes(weight).sum(1) + bias.double().abs()
        worst = int(reach.max())
        if worst >= SUM_LIMIT:
            raise ExactnessError(
                f"a convolution's sums may reach {worst}, but only sums below {SUM_LIMIT} are "
                "exact in float32; the weights are damaged or come from another program"
            )

    def arrays(self) -> Arrays:
        """The frozen integers: weight int8 (O, I, k, k), bias int32 (O,), shift int8 (O,)."""
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
        """The inverse of `arrays`; the layer is frozen then. Shapes must be those of the layer."""
        weight, bias, shift = (torch.from_numpy(arrays[k].astype(np.float64)) for k in _CONV_KEYS)
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
        self.int8 = None
        scale = torch.exp2(-shift)
        self.frozen = (weight.float(), bias.float(), scale.float())
        exponent = shift + self.out_bits - self.in_bits
        with torch.no_grad():
            self.weight.copy_(weight * torch.exp2(-exponent)[self._by_output])
            self.bias.copy_(bias * torch.exp2(-exponent - self.in_bits))


_CONV_KEYS = ("weight", "bias", "shift")


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """`own_settings`, no gradients, and nothing on ``device`` whose transforms are not exact.

    NNPACK, which PyTorch takes for batches of 16 and more where oneDNN is off, convolves by
    Winograd and Fourier transforms, and errs by more than a half. TF32 and bfloat16 products need
    no switch: operands have eight bits, and on a GPU the carrier is float64.
    """
    with own_settings(device.type), without_nnpack, torch.inference_mode():
        yield
