"""Probabilities in integers: tables, discretised logistics and categoricals.

Every interval that is coded comes from here. No math library rounds anything: tables are made with
Python integers and `decimal`, and all numbers computed from them stay below 2**53.
"""

from __future__ import annotations

from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    localcontext,
)
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drrpack.core.arrays import U64

Int64 = NDArray[np.int64]

PRECISION = 20  # bits of every probability: 512 symbols of at least 1 cost 0.0007 bits a code
LOGIT_BITS = 4  # a logit is in sixteenths of a bit
_GUARD = 96  # bits of the integer arithmetic behind the tables


def _context(digits: int) -> Context:
    """A decimal context in which a program's own one, and its default, leave nothing open."""
    return Context(
        prec=digits, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999, capitals=1, clamp=0,
        flags=[], traps=[InvalidOperation, DivisionByZero, Overflow],
    )  # fmt: skip


_DIGITS = 28  # of what operators give: Python's default, with which the tables were first made


@lru_cache(maxsize=1)
def exp2_table() -> NDArray[np.float64]:
    """``round(2**16 * 2**(-d / 16))`` for d = 0 to 288, then zero: integers held in float64."""
    context, two = _context(60), Decimal(2)
    with localcontext(_context(_DIGITS)):
        values = [
            int(context.power(two, context.divide(Decimal(16 * 16 - d), Decimal(16))).to_integral())
            for d in range(289)
        ]
    return np.array([*values, 0], dtype=np.float64)


BIN_COUNT = 128  # a latent is an integer in [-64, 64)
BIN_MIN, BIN_MAX = -BIN_COUNT // 2, BIN_COUNT // 2 - 1
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
    with localcontext(_context(_DIGITS)):
        for i in range(SCALE_COUNT):
            upper = _logistic_row(i, top)  # d = 0 to reach
            table[i, _REACH:] = upper
            table[i, :_REACH] = top - upper[:0:-1]
    table.setflags(write=False)
    return table


def _logistic_row(index: int, top: int) -> NDArray[np.int64]:
    context = _context(60)
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
        inner[k > BIN_MAX] = 1 << PRECISION
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
            _cumulative_frequencies(flat[block], self._cumulative[block])
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


_ROWS = 512  # positions at a time: the float64 temporaries stay in the cache


def _cumulative_frequencies(logits: Tensor, out: Tensor) -> None:
    """Integer logits (N, K) to the ends (N, K) of each code's interval, int32, into ``out``.

    Sums of integers, which a GPU has in one order: those of floats it refuses to a process that
    asks for deterministic algorithms. Most of the time goes into passes over memory, so each works
    in place, and `index_select` looks up three times as fast as brackets do.
    """
    table = torch.from_numpy(exp2_table()).to(logits.device)
    distance = (logits.amax(1, keepdim=True) - logits).clamp_max_(len(table) - 1).to(torch.int32)
    weight = table.index_select(0, distance.flatten()).view(distance.shape)
    total = weight.sum(1, keepdim=True).to(torch.int64)
    scale = ((2**PRECISION - logits.shape[1]) << 24) // total
    frequency = weight.mul_(scale.double() * 2.0**-24).floor_().add_(1).to(torch.int32)
    torch.cumsum(frequency, 1, dtype=torch.int32, out=out)
    out[:, -1] = 2**PRECISION


def _uint64(x: Tensor) -> U64:
    return x.cpu().numpy().astype(np.uint64)
