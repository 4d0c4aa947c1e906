"""Adapt a context model to the codes at hand, in seconds: fit the correction of its last layers.

The network below does not change, so what it makes of the codes is computed once. Numbers are
float64: sums in another order, by other threads, then still round to the same integers, so several
processes and one make the same file.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from drrpack.core.codes import LEVELS, Codes, Levels
from drrpack.core.entropy.adapted import OFFSET_MAX, AdaptedModel, Correction
from drrpack.core.entropy.context import ContextLevel, ContextModel
from drrpack.core.exact import SUM_LIMIT, exact_arithmetic, round_half_up
from drrpack.core.freezing import freeze, thaw
from drrpack.core.frequencies import Tables
from drrpack.core.int_layer import Arrays
from drrpack.core.probability import LOGIT_BITS
from drrpack.core.section import Section
from drrpack.core.settings import float_arithmetic
from drrpack.trainers.fitting.loop import rate_over_budget

CODES = 160_000  # of a level, at most: those of 2,500 images of 32x32
STEPS = 300  # of each level
BATCH = 512  # codes
WEIGHT_RATE, OFFSET_RATE = 0.01, 0.05  # the latter in bits


@float_arithmetic()
def adapt(
    model: ContextModel, codes: Codes, tables: Tables, seed: int = 0, *,
    offsets_alone: bool = False, tick: Callable[[float], None] | None = None,
) -> AdaptedModel:  # fmt: skip
    """A context model on the CPU with a correction for these codes.

    Args:
        model: frozen; of an adapted model the one below it is adapted anew.
        codes: the codes that it is fitted on, `CODES` of each level at most.
        tables: those of all codes of the file.
        offsets_alone: leave the layer before the logits as it is: a correction of one kilobyte in
            place of six.
        tick: told how much is done, 0 to 1.
    """
    base = model.base if isinstance(model, AdaptedModel) else Section(*_stored(model))
    below = ContextModel.unpack(base.version, base.config, base.data)
    fitted, above = list[Correction](), None
    for name in LEVELS:
        level, grid = below.network.levels[name], torch.from_numpy(codes[name].astype(np.int64))
        hidden, wanted = _seen(level, grid, above)
        half = None if tick is None else _part(tick, len(fitted))
        fitted.append(_fit(level, hidden, wanted, seed, half, not offsets_alone))
        above = grid
    return AdaptedModel.of(base, Levels(*fitted), tables)


def _stored(model: ContextModel) -> tuple[str, dict[str, object], bytes]:
    return (model.versions[-1], *model.pack())


def _part(tick: Callable[[float], None], level: int) -> Callable[[float], None]:
    return lambda done: tick((level + done) / 2)


def _seen(level: ContextLevel, grid: Tensor, above: Tensor | None) -> tuple[Tensor, Tensor]:
    """What the network below makes of each place, uint8 (N, width), and the code there, (N,)."""
    phased, hidden, wanted = level.phased, list[Tensor](), list[Tensor]()
    at_once = max(1, CODES // 10 // max(1, grid[0].numel()))
    with exact_arithmetic(torch.device("cpu")):
        for start in range(0, len(grid), at_once):
            some = grid[start : start + at_once]
            context = level.of_top(None if above is None else above[start : start + at_once])
            for number in phased.phases.within(some.shape[1:]):
                at = phased.places(number, some, None, context)
                hidden.append(phased.hidden(at).to(torch.uint8))
                wanted.append(phased.phases.part(some, number).reshape(-1))
    return torch.cat(hidden), torch.cat(wanted)


def _fit(
    level: ContextLevel, hidden: Tensor, wanted: Tensor, seed: int,
    tick: Callable[[float], None] | None, layer: bool,
) -> Correction:  # fmt: skip
    leave, output = level.likelihood.leave, level.output
    before = leave.arrays()
    assert output.frozen is not None
    weight, bias, scale = (tensor.double() for tensor in output.frozen)
    if layer:
        thaw(leave)
    else:
        leave.freeze(torch.float64)
    leave.double().requires_grad_(layer)
    offset = nn.Parameter(torch.zeros(len(bias), dtype=torch.float64))  # in bits
    optimiser = torch.optim.Adam(
        [
            {"params": leave.parameters(), "peak": WEIGHT_RATE},
            {"params": [offset], "peak": OFFSET_RATE},
        ]
    )
    generator = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = rate_over_budget(group["peak"], step / STEPS, step)
        chosen = torch.randint(len(wanted), (BATCH,), generator=generator)
        vectors = leave(hidden[chosen].double())
        logits = F.linear(vectors, weight, bias) * scale * 2.0**-LOGIT_BITS + offset
        loss = F.cross_entropy(logits * math.log(2), wanted[chosen])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        if tick is not None and step % 20 == 0:
            tick(step / STEPS)
    leave.float()
    freeze(leave)
    after = leave.arrays()
    added: Arrays = {key: after[key].astype(np.int64) - before[key] for key in after}
    units = round_half_up(offset.detach() * 2.0**LOGIT_BITS).clamp(-OFFSET_MAX, OFFSET_MAX)
    return Correction(_exact(level, units.numpy().astype(np.int64)), added)


def _exact(level: ContextLevel, offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """The offsets, smaller where sums with them would no longer be exact."""
    output = level.output
    arrays = output.arrays()
    weight = np.abs(arrays["weight"].astype(np.int64)).sum(1)
    room = SUM_LIMIT - 1 - output.in_max * weight - np.abs(arrays["bias"].astype(np.int64))
    most = room >> arrays["shift"].astype(np.int64)
    exact: NDArray[np.int64] = np.clip(offset, -most, most)
    return exact
