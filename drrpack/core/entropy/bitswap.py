"""Bit-Swap: grids of codes <-> bits (Kingma, Abbeel, Ho, ICML 2019; paper section 4, appendix B).

Each level of codes has its own chain of latents ``z[0] ... z[7]``. The model generates downwards,
``p(z[7]) p(z[6] | z[7]) ... p(codes | z[0])``, and infers upwards, ``q(z[0] | codes)
q(z[1] | z[0]) ...``. Bit-Swap walks up that chain, popping each latent with q before pushing what
it explains with p, so that the stack never owes more than one latent.

Unlike the reference: codes are categories and not ordered numbers; they are coded in phases, each
seeing the ones before; the bottom level is conditioned on the top, which is decoded first; and
every network is integer-exact (`drrpack.core.exact`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from drrpack.core import ans
from drrpack.core.entropy.code_model import LevelModel, Places
from drrpack.core.exact import round_half_up
from drrpack.core.probability import (
    BIN_MAX,
    BIN_MIN,
    LOGIT_BITS,
    MEAN_UNIT,
    PRECISION,
    SCALE_STEP,
    SCALE_ZERO,
    Categorical,
    Logistic,
)

Codes = NDArray[np.int64]

COUNTED = 64  # codes of an image that one step of a fit looks at: all those of a small image

# --- the loss: expected bits --------------------------------------------------------------------


def expected_bits(
    model: LevelModel, codes: Tensor, top: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One sample of the bits that Bit-Swap needs for ``codes`` (B, H, W): the negative ELBO.

    Returns the bits of the codes given the first latent, and those of the latents, each (B,).
    The latents are rounded to the very bins that are coded.
    """
    context = None if model.context is None else model.context(top)
    latents, latent_bits = [], codes.new_zeros(len(codes), dtype=torch.float32)
    below = codes
    for index in range(model.latents):
        mean, scale = model.posterior(index, below, context)
        below = _sample(mean, scale, generator)
        latent_bits = latent_bits + _log2_mass(below, mean, scale)
        latents.append(below)
    for index, latent in enumerate(latents):
        above = latents[index + 1] if index + 1 < len(latents) else None
        latent_bits = latent_bits - _log2_mass(
            latent, *model.prior(index, above, latent.shape, context)
        )
    first = latents[0] if latents else None
    return _code_bits(model, first, codes, context, generator), latent_bits


def _code_bits(
    model: LevelModel,
    latent: Tensor | None,
    codes: Tensor,
    context: Tensor | None,
    generator: torch.Generator,
) -> Tensor:
    """Bits (B,) of the codes given the first latent, if any: an estimate that is right on average.

    Of grids with more codes than `COUNTED` each phase counts one image in several, which stands for
    those between.
    """
    apart = min(len(codes), max(1, codes[0].numel() // COUNTED))
    first = int(torch.randint(apart, (), generator=generator))
    numbers = model.phases.within(codes.shape[1:])
    counted = [slice((number + first) % apart, None, apart) for number in numbers]

    def known(number: int, some: slice) -> Places:
        beside = (None if x is None else x[some] for x in (latent, context))
        return model.places(number, codes[some], *beside)

    places = Places.join([known(n, some) for n, some in zip(numbers, counted, strict=True)])
    wanted = [model.phases.part(codes[s], n) for n, s in zip(numbers, counted, strict=True)]
    nats = model.logits(places) * (math.log(2) / 2**LOGIT_BITS)  # (N, K)
    every = torch.cat([part.reshape(-1) for part in wanted])
    spent = F.cross_entropy(nats, every, reduction="none") / math.log(2)
    bits = torch.zeros(len(codes), dtype=torch.float32, device=codes.device)
    for some, part in zip(
        counted, torch.split(spent, [part.numel() for part in wanted]), strict=True
    ):
        bits[some] = bits[some] + apart * part.view(len(bits[some]), -1).sum(1)
    return bits


def _bins(mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    return mean / MEAN_UNIT, torch.exp2((scale - SCALE_ZERO) / SCALE_STEP)


def _sample(mean: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    centre, spread = _bins(mean, scale)
    uniform = torch.rand(mean.shape, dtype=torch.float32, generator=generator)
    uniform = uniform.clamp(1e-6, 1 - 1e-6).to(mean.device)
    return round_half_up(centre + spread * torch.logit(uniform)).clamp(BIN_MIN, BIN_MAX)


def _log2_mass(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Sum over each image of log2 of the logistic's mass in the bins ``z``."""
    centre, spread = _bins(mean, scale)
    upper, lower = (z + 0.5 - centre) / spread, (z - 0.5 - centre) / spread
    below, above = F.logsigmoid(upper), F.logsigmoid(-lower)
    inside = below + above + torch.log(-torch.expm1(-1 / spread))
    # the outermost bins hold the tails
    mass = torch.where(z <= BIN_MIN, below, torch.where(z >= BIN_MAX, above, inside))
    return mass.flatten(1).sum(1) / math.log(2)


# --- the codec: one group of images, all streams at once ----------------------------------------


def group_codec(model: LevelModel, shape: tuple[int, ...], top: Tensor | None) -> ans.Codec[Codes]:
    """Bit-Swap for codes of ``shape`` (streams, images, H, W), after equations 9 to 11 there.

    Without latents only the codes are coded, each given its context. ``top`` is the decoded top
    level (streams * images, H / 2, W / 2) for the bottom, else None. Networks are frozen; call
    inside `drrpack.core.exact.exact_arithmetic`.
    """
    streams, images, height, width = shape
    latent_shape = torch.Size((streams * images, model.channels, height, width))
    device = next(model.parameters()).device
    context = None if model.context is None else model.context(top)

    def posterior(index: int, below: Tensor) -> ans.Codec[Codes]:
        return _latent_codec(*model.posterior(index, below, context), streams)

    def prior(index: int, above: Tensor | None) -> ans.Codec[Codes]:
        return _latent_codec(*model.prior(index, above, latent_shape, context), streams)

    phases = model.phases.within((height, width))

    def likelihood(latent: Tensor | None, known: Codes, number: int) -> ans.Codec[Codes]:
        x = torch.from_numpy(known).reshape(-1, height, width).to(device)
        logits = model.logits(model.places(number, x, latent, context))
        return _code_codec(logits.view(streams, -1, logits.shape[1]))

    def push_codes(message: ans.Message, codes: Codes, latent: Tensor | None = None) -> ans.Message:
        for number in phases[::-1]:
            part = model.phases.part(codes, number).reshape(streams, -1)
            message = likelihood(latent, codes, number).push(message, part)
        return message

    def pop_codes(message: ans.Message, latent: Tensor | None = None) -> tuple[ans.Message, Codes]:
        codes = np.zeros(shape, dtype=np.int64)
        for number in phases:
            message, popped = likelihood(latent, codes, number).pop(message)
            part = model.phases.part(codes, number)
            part[:] = popped.reshape(part.shape)
        return message, codes

    def as_latent(z: Codes) -> Tensor:
        dtype = next(iter(_carriers(model)))
        return torch.from_numpy(z).view(latent_shape).to(device, dtype)

    def push(message: ans.Message, codes: Codes) -> ans.Message:
        x = torch.from_numpy(codes).reshape(-1, height, width).to(device)
        message, below = posterior(0, x).pop(message)
        message = push_codes(message, codes, as_latent(below))
        for index in range(1, model.latents):
            latent = as_latent(below)
            message, above = posterior(index, latent).pop(message)
            message = prior(index - 1, as_latent(above)).push(message, below)
            below = above
        return prior(model.latents - 1, None).push(message, below)

    def pop(message: ans.Message) -> tuple[ans.Message, Codes]:
        message, above = prior(model.latents - 1, None).pop(message)
        for index in range(model.latents - 1, 0, -1):
            message, below = prior(index - 1, as_latent(above)).pop(message)
            message = posterior(index, as_latent(below)).push(message, above)
            above = below
        message, codes = pop_codes(message, as_latent(above))
        x = torch.from_numpy(codes).reshape(-1, height, width).to(device)
        return posterior(0, x).push(message, above), codes

    return ans.Codec(push, pop) if model.latents else ans.Codec(push_codes, pop_codes)


def _carriers(model: LevelModel) -> set[torch.dtype]:
    frozen = model.embedding.frozen
    assert frozen is not None, "freeze the networks before coding with them"
    return {frozen.dtype}


def _latent_codec(mean: Tensor, scale: Tensor, streams: int) -> ans.Codec[Codes]:
    logistic = Logistic(_rows(mean, streams), _rows(scale, streams))
    return ans.intervals(logistic.count, PRECISION, logistic.interval, logistic.find)


def _code_codec(logits: Tensor) -> ans.Codec[Codes]:
    """Logits (streams, n, K): n codes for each stream, K to choose from."""
    categorical = Categorical(logits)
    return ans.intervals(logits.shape[1], PRECISION, categorical.interval, categorical.find)


def _rows(x: Tensor, streams: int) -> NDArray[np.int64]:
    return x.reshape(streams, -1).to(torch.int64).cpu().numpy()
