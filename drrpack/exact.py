"""Networks and probability tables in integers: the same bits on every machine.

A bits-back decoder runs the networks again, and one differing bit in one probability destroys the
rest of a stream. Floating-point sums depend on their order, so on batch size, threads and
hardware; sums of integers below 2**24 (float32) or 2**53 (float64) do not. Everything here is an
integer held in a float tensor, the *carrier*:

- a convolution multiplies integer activations with int8 weights; the bound of every partial sum is
  derived from the weights, for each output channel, when they are frozen or loaded;
- the sum is rescaled by a power of two and rounded half up, which is exact below the bound;
- non-linearities are clamps; probabilities come from tables made with integers and `decimal`.

While a network is fitted the same layers run on quantised weights with straight-through gradients,
so a fitted network and its frozen form compute the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.errors import ExactnessError

Int64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

SUM_LIMIT = 2**23  # half of float32's exact range, so that rounding half up is exact as well
WEIGHT_MAX = 127
ACTIVATION_MAX = 255  # after a non-linearity: eight bits, without a sign
ACTIVATION_BITS = 5  # an activation of 1.0 is the integer 32
SIGNED_MAX = 511  # residual streams


class _RoundHalfUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        return grad[0]


def round_half_up(x: Tensor) -> Tensor:
    """``floor(x + 1/2)``, with the gradient of the identity."""
    out: Tensor = _RoundHalfUp.apply(x)
    return out


def relu(x: Tensor) -> Tensor:
    """The only non-linearity: a clamp to the eight bits that a convolution accepts."""
    return x.clamp(0, ACTIVATION_MAX)


class IntConv2d(nn.Module):
    """A convolution of integers, "same" padding, followed by rescaling, rounding and a clamp.

    The output is ``clamp(floor((sum + bias) / 2**shift + 1/2), low, high)``.

    Args:
        in_max: largest magnitude of an input; the bound of the sums rests on it.
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
        spread = gain * math.sqrt(2.0 / (inputs * kernel * kernel))
        self.weight = nn.Parameter(spread * torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.frozen: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        weight, bias, scale = self.frozen or self.quantised()
        total = self._convolve(x, weight, bias)
        if self.frozen is not None:
            total = total.round()  # some GPU algorithms err by less than one half
        return round_half_up(total * scale[:, None, None]).clamp(self.low, self.high)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(x, weight, bias, padding=self.padding)

    def quantised(self) -> tuple[Tensor, Tensor, Tensor]:
        """Integer weights and bias and the scale ``2**-shift``, as float tensors with gradients."""
        exponent = self._exponent()
        unit = torch.exp2(exponent)
        weight = round_half_up(self.weight * unit[self._by_output])
        bias = round_half_up(self.bias * unit * 2.0**self.in_bits)
        scale = torch.exp2(self.out_bits - self.in_bits - exponent)
        return weight.clamp(-WEIGHT_MAX, WEIGHT_MAX), bias, scale

    _by_output: Any = (slice(None), None, None, None)  # one number a channel beside the weights

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
        return exponent.clamp(self._least, 20).to(self.weight.dtype)

    _inside: tuple[int, ...] = (1, 2, 3)  # the axes of the weights that one channel sums over

    @property
    def _least(self) -> int:
        return max(0, self.out_bits - self.in_bits)

    def freeze(self, carrier: torch.dtype = torch.float32) -> None:
        """Fix the integers, check their bound and hold them in ``carrier``."""
        with torch.no_grad():
            weight, bias, scale = self.frozen or self.quantised()
            self._check(weight, bias)
            self.frozen = (weight.to(carrier), bias.to(carrier), scale.to(carrier))

    def _check(self, weight: Tensor, bias: Tensor) -> None:
        reach = self.in_max * self._magnitudes(weight).sum(1) + bias.double().abs()
        worst = int(reach.max())
        if worst >= SUM_LIMIT:
            raise ExactnessError(
                f"a convolution's sums may reach {worst}, but only sums below {SUM_LIMIT} are "
                "exact in float32; the weights are damaged or come from another program"
            )

    def arrays(self) -> dict[str, NDArray[Any]]:
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

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """The inverse of `arrays`; the layer is frozen then. Shapes must be those of the layer."""
        weight, bias, shift = (torch.from_numpy(arrays[k].astype(np.float64)) for k in _CONV_KEYS)
        if weight.shape != self.weight.shape or {bias.shape, shift.shape} != {self.bias.shape}:
            raise ExactnessError(
                f"a layer has weights of shape {tuple(weight.shape)} where "
                f"{tuple(self.weight.shape)} was expected"
            )
        if shift.min() < 0 or shift.max() > 40:
            raise ExactnessError("a layer's shift is outside 0 to 40")
        self._check(weight, bias)
        scale = torch.exp2(-shift)
        self.frozen = (weight.float(), bias.float(), scale.float())
        exponent = shift + self.out_bits - self.in_bits
        with torch.no_grad():
            self.weight.copy_(weight * torch.exp2(-exponent)[self._by_output])
            self.bias.copy_(bias * torch.exp2(-exponent - self.in_bits))


_CONV_KEYS = ("weight", "bias", "shift")


class IntConvTranspose2d(IntConv2d):
    """A transposed convolution of integers: kernel 4, stride 2; weights (I, O, 4, 4)."""

    _by_output = (None, slice(None), None, None)
    _inside = (0, 2, 3)

    def __init__(self, inputs: int, outputs: int, **options: Any) -> None:
        super().__init__(inputs, outputs, 4, **options)
        self.weight = nn.Parameter(self.weight.detach().transpose(0, 1).contiguous())

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1)

    def _magnitudes(self, weight: Tensor) -> Tensor:
        """Each output sees a quarter of the taps; the largest quarter bounds the channel."""
        inputs, outputs = weight.shape[:2]
        size = weight.detach().double().abs().reshape(inputs, outputs, 2, 2, 2, 2)
        quarters = size.permute(1, 3, 5, 0, 2, 4).flatten(3).flatten(1, 2)  # (O, 4, taps)
        best = quarters.sum(2).argmax(1)
        chosen: Tensor = quarters[torch.arange(len(best)), best]
        return chosen


class IntEmbedding(nn.Module):
    """A table of int8 vectors: codes (B, H, W) to integers (B, dim, H, W) in [-127, 127]."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(size, dim))
        self.frozen: Tensor | None = None

    def forward(self, codes: Tensor) -> Tensor:
        table = self.quantised() if self.frozen is None else self.frozen
        return F.embedding(codes, table).permute(0, 3, 1, 2)

    def quantised(self) -> Tensor:
        scaled = round_half_up(self.weight * 2.0**ACTIVATION_BITS)
        return scaled.clamp(-WEIGHT_MAX, WEIGHT_MAX)

    def freeze(self, carrier: torch.dtype = torch.float32) -> None:
        with torch.no_grad():
            table = self.quantised() if self.frozen is None else self.frozen
            self.frozen = table.to(carrier)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The frozen table: int8 (size, dim)."""
        assert self.frozen is not None, "freeze before storing"
        return {"weight": self.frozen.cpu().numpy().astype(np.int8)}

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        table = torch.from_numpy(arrays["weight"].astype(np.float32))
        if table.shape != self.weight.shape:
            raise ExactnessError(
                f"an embedding has shape {tuple(table.shape)} where "
                f"{tuple(self.weight.shape)} was expected"
            )
        self.frozen = table
        with torch.no_grad():
            self.weight.copy_(table * 2.0**-ACTIVATION_BITS)


IntLayer = IntConv2d | IntEmbedding


def int_layers(network: nn.Module) -> dict[str, IntLayer]:
    """All integer layers of a network by their dotted names, in order."""
    return {n: m for n, m in network.named_modules() if isinstance(m, IntConv2d | IntEmbedding)}


def freeze(network: nn.Module, carrier: torch.dtype = torch.float32) -> None:
    """Freeze every integer layer, on its device, in ``carrier`` (float32 or float64)."""
    for layer in int_layers(network).values():
        layer.freeze(carrier)
    network.eval().requires_grad_(False)


def move(network: nn.Module, device: torch.device | str) -> None:
    """Move a frozen network with its frozen tensors."""
    network.to(device)
    for layer in int_layers(network).values():
        if isinstance(layer, IntEmbedding):
            layer.frozen = None if layer.frozen is None else layer.frozen.to(device)
        elif layer.frozen is not None:
            weight, bias, scale = layer.frozen
            layer.frozen = (weight.to(device), bias.to(device), scale.to(device))


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """No gradients, and nothing that would shorten the operands on ``device``."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    try:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


# --- probability tables -------------------------------------------------------------------------

PRECISION = 20  # bits of every probability: 512 symbols of at least 1 cost 0.0007 bits a code
LOGIT_BITS = 4  # a logit is in sixteenths of a bit
_GUARD = 96  # bits of the integer arithmetic behind the tables


@lru_cache(maxsize=1)
def exp2_table() -> NDArray[np.float64]:
    """``round(2**16 * 2**(-d / 16))`` for d = 0 to 288, then zero: integers held in float64."""
    context = Context(prec=60)
    two = Decimal(2)
    values = [
        int(context.power(two, context.divide(Decimal(16 * 16 - d), Decimal(16))).to_integral())
        for d in range(289)
    ]
    return np.array([*values, 0], dtype=np.float64)


BIN_COUNT = 128  # a latent is an integer in [-64, 64)
BIN_MIN = -BIN_COUNT // 2
MEAN_UNIT = 8  # the mean of a logistic sits on eighths of a bin
SCALE_COUNT = 64  # scales are 2**((i - 13) / 10) bins: 0.4 to 32
SCALE_ZERO = 13
SCALE_STEP = 10
_REACH = BIN_COUNT * MEAN_UNIT + MEAN_UNIT  # the tables end this far from the mean


@lru_cache(maxsize=1)
def logistic_table() -> NDArray[np.int32]:
    """Integer CDFs of the logistic, (SCALE_COUNT, 2 * reach + 1) int32.

    Entry ``[i, reach + d]`` is ``(2**PRECISION - BIN_COUNT) / (1 + exp(-d / (MEAN_UNIT * s_i)))``
    rounded down, by powers of one 96-bit number for each scale: no floating point is involved.
    """
    top = 2**PRECISION - BIN_COUNT
    table = np.empty((SCALE_COUNT, 2 * _REACH + 1), dtype=np.int32)
    for i in range(SCALE_COUNT):
        upper = _logistic_row(i, top)  # d = 0 to reach
        table[i, _REACH:] = upper
        table[i, :_REACH] = top - upper[:0:-1]
    table.setflags(write=False)
    return table


def _logistic_row(index: int, top: int) -> NDArray[np.int64]:
    context = Context(prec=60)
    scale = context.power(Decimal(2), Decimal(index - SCALE_ZERO) / SCALE_STEP)
    ratio = context.exp(-1 / (MEAN_UNIT * scale))
    factor, one = int(ratio * 2**_GUARD), 1 << _GUARD
    power, row = one, []
    for _ in range(_REACH + 1):
        row.append((top << _GUARD) // (one + power))
        power = power * factor >> _GUARD
    return np.array(row, dtype=np.int64)


class Logistic:
    """Discretised logistics over the bins, one for each symbol of each stream.

    Args:
        mean: integers (streams, n) in eighths of a bin. scale: indices into the table of scales.
    """

    def __init__(self, mean: NDArray[np.int64], scale: NDArray[np.int64]) -> None:
        self._table = logistic_table().reshape(-1)
        width = 2 * _REACH + 1
        self._origin = scale * width + (_REACH - MEAN_UNIT // 2) - mean

    @property
    def count(self) -> int:
        return int(self._origin.shape[1])

    def _cumulative(self, k: Int64, part: slice) -> Int64:
        """Cumulative frequency below bin ``k``: 0 at the first bin, 2**PRECISION past the last.

        The bin's own number is added, so that no bin is ever empty.
        """
        inner: Int64 = self._table[self._origin[:, part] + MEAN_UNIT * k] + (k - BIN_MIN)
        inner[k <= BIN_MIN] = 0
        inner[k >= BIN_MIN + BIN_COUNT] = 1 << PRECISION
        return inner

    def interval(self, z: Int64, part: slice) -> tuple[U64, U64]:
        """Start and length of the intervals of the latents ``z``, the columns ``part``."""
        start = self._cumulative(z, part)
        return start.astype(np.uint64), (self._cumulative(z + 1, part) - start).astype(np.uint64)

    def find(self, point: U64, part: slice) -> Int64:
        """The bins whose intervals hold ``point``, by bisection."""
        target, origin = point.astype(np.int64), self._origin[:, part]
        low = np.full(point.shape, BIN_MIN, dtype=np.int64)
        step = BIN_COUNT // 2
        while step:
            middle = low + step
            below = self._table[origin + MEAN_UNIT * middle] + (middle - BIN_MIN) <= target
            low = np.where(below, middle, low)
            step //= 2
        return low


class Categorical:
    """Distributions over codes from integer logits (streams, n, K) in sixteenths of a bit.

    Weights ``2**(-d / 16)`` come from a table by the distance ``d`` to the largest logit; a
    multiply and a shift bring their sum to just below ``2**PRECISION``, every code gets at least
    1, and what is left goes to the last. All of it is integers below 2**53 in float64.
    """

    def __init__(self, logits: Tensor) -> None:
        streams, count, size = logits.shape
        flat = logits.reshape(-1, size)
        self._cumulative = torch.empty(flat.shape, dtype=torch.int32, device=logits.device)
        for start in range(0, len(flat), _ROWS):
            block = slice(start, start + _ROWS)
            self._cumulative[block] = _cumulative_frequencies(flat[block])
        self._cumulative = self._cumulative.view(streams, count, size)

    def interval(self, codes: Int64, part: slice) -> tuple[U64, U64]:
        """Start and length of the intervals of the codes (streams, m) of the columns ``part``."""
        x = torch.from_numpy(codes).to(self._cumulative.device)[..., None]
        cumulative = self._cumulative[:, part]
        end = cumulative.gather(2, x)
        start = torch.where(x > 0, cumulative.gather(2, (x - 1).clamp_min(0)), 0)
        return _uint64(start[..., 0]), _uint64((end - start)[..., 0])

    def find(self, point: U64, part: slice) -> Int64:
        """The codes whose intervals hold ``point`` (streams, m)."""
        target = torch.from_numpy(point.astype(np.int32)).to(self._cumulative.device)
        cumulative = self._cumulative[:, part].contiguous()
        found = torch.searchsorted(cumulative, target[..., None], right=True)[..., 0]
        symbols: Int64 = found.cpu().numpy()
        return symbols


_ROWS = 1024  # positions at a time: the float64 temporaries stay in the cache


def _cumulative_frequencies(logits: Tensor) -> Tensor:
    """Integer logits (N, K) to the ends (N, K) of each code's interval, float64."""
    table = torch.from_numpy(exp2_table()).to(logits.device)
    distance = logits.amax(1, keepdim=True) - logits
    weight = table[distance.clamp_max_(len(table) - 1).to(torch.int32)]  # (N, K)
    total = weight.sum(1, keepdim=True).to(torch.int64)
    scale = ((2**PRECISION - logits.shape[1]) << 24) // total
    frequency = torch.floor(weight * (scale.double() * 2.0**-24)).add_(1)
    cumulative = frequency.cumsum(1)
    cumulative[:, -1] = 2**PRECISION
    return cumulative


def _uint64(x: Tensor) -> U64:
    return x.cpu().numpy().astype(np.uint64)
