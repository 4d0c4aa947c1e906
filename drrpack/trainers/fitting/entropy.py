"""Fit entropy models on the codes of a VQ-VAE: the context model, then Bit-Swap."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.codec import Codec
from drrpack.core.codes import LEVELS, Codes
from drrpack.core.encoder import Encoder
from drrpack.core.entropy.bitswap import BitSwapConfig
from drrpack.core.entropy.context import ContextConfig, ContextNetwork, ContextPrices
from drrpack.core.entropy.model import EntropyModel
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import BothLevels, NetworkConfig
from drrpack.core.freezing import freeze, thaw
from drrpack.core.frequencies import frequency_tables
from drrpack.core.rdoq import BEST
from drrpack.core.settings import float_arithmetic, seeded
from drrpack.core.vqvae import VQVAE, grid_shapes
from drrpack.trainers.fitting.level import TUNING, LevelFit, Start
from drrpack.trainers.fitting.loop import Report, fit
from drrpack.trainers.fitting.narrow import narrow_entropy
from drrpack.trainers.fitting.plan import FitPlan, Log
from drrpack.trainers.learning import augment

# Of a budget in minutes.
FIRST_SHARE = 0.2  # the first model, on the nearest codes
THRIFTY_SHARE = 0.15  # the same on the codes that are chosen by it
NEXT_SHARE = 0.1  # a model beside the first
LEVEL_SHARES = {"top": 0.45, "bottom": 0.55}  # of an entropy model


def entropy_shares(plan: FitPlan) -> float:
    """What all that `fit_entropy` fits takes of a budget in minutes, at these shares."""
    others = max(0, len(plan.entropy) - 1)
    first = FIRST_SHARE if plan.entropy else 0.0
    return first + others * NEXT_SHARE + (THRIFTY_SHARE if chooses_codes(plan) else 0.0)


def chooses_codes(plan: FitPlan) -> bool:
    """Whether a context model of the plan will choose cheaper codes than the nearest."""
    context = any(isinstance(config, ContextConfig) for config in plan.entropy)
    return context and plan.quality < BEST


@dataclass(frozen=True)
class Fitted:
    """Entropy models of one VQ-VAE, the codes that they are for, and a log."""

    models: list[EntropyModel]
    codes: Codes
    log: Log


def fit_entropy(vqvae: VQVAE, images: Pixels, plan: FitPlan, report: Report | None) -> Fitted:
    """Fit the entropy models of a plan on the codes of images uint8 (N, H, W, 3).

    A context model is fitted on the nearest codes, and then on those that it chooses itself where
    the plan's quality says so; models after it see these, too.
    """
    height, width = images.shape[1:3]
    top_shape = grid_shapes(height, width, vqvae.config.stride)[0]
    known, made, log = _known(plan), list[BothLevels](), Log()
    seen, views = _codes(Encoder(vqvae), images, plan)
    for config in plan.entropy:
        network, start = _begin(config, vqvae, seen, plan, known)
        share = NEXT_SHARE if made else FIRST_SHARE
        log |= _fit_levels(config.kind, network, views, top_shape, plan, share, report, start)
        if isinstance(network, ContextNetwork) and chooses_codes(plan):
            network.to(plan.device)
            encoder = Encoder(vqvae, plan.quality, ContextPrices(network))
            seen, views = _codes(encoder, images, plan)
            network.cpu()
            thaw(network)
            log |= _fit_levels(
                "thrifty", network, views, top_shape, plan, THRIFTY_SHARE, report, TUNING
            )
        known.insert(0, network)
        made.append(network)
    return Fitted([_model(network, seen) for network in made], seen, log)


@float_arithmetic()
def tune_entropy(
    model: EntropyModel, codes: Codes, plan: FitPlan, report: Report | None = None
) -> tuple[EntropyModel, Log]:
    """A copy of an entropy model that knows these codes better, frozen, and a log.

    Its tables become those of the codes. Networks are fitted further on them, where it has any.
    """
    log, tables = Log(), frequency_tables(codes, model.codebook_size)
    if isinstance(model, NetworkModel):
        network = deepcopy(model.network)
        network.cpu()
        thaw(network)
        data, top_shape = codes.flat.astype(np.int64), codes.top_shape
        log = _fit_levels(model.kind, network, data, top_shape, plan, 1.0, report, TUNING)
        return network.model(tables), log  # of an adapted one a whole one
    return model.with_tables(tables), log


@float_arithmetic()
def fit_beside(
    codec: Codec, config: NetworkConfig, images: Pixels, plan: FitPlan, report: Report | None = None
) -> tuple[EntropyModel, Log]:
    """Another entropy model for the codes that ``codec`` chooses for images uint8 (N, H, W, 3), and
    a log. It begins with a model of the plan's ``start`` where one has its sizes."""
    seen, views = _codes(codec.encoder, images, plan)
    network, start = _begin(config, codec.vqvae, seen, plan, _known(plan))
    log = _fit_levels(config.kind, network, views, seen.top_shape, plan, 1.0, report, start)
    return _model(network, seen), log


def _known(plan: FitPlan) -> list[BothLevels]:
    """The networks that a fit may begin with, as narrow as the plan's."""
    width = min([config.embedding for config in plan.entropy], default=0)
    models = [codec.entropy for codec in plan.start]
    networks = [model.network for model in models if isinstance(model, NetworkModel)]
    return [n if n.config.embedding <= width else narrow_entropy(n, width) for n in networks]


def _model(network: BothLevels, codes: Codes) -> EntropyModel:
    return network.model(frequency_tables(codes, network.config.codebook_size))


def _codes(encoder: Encoder, images: Pixels, plan: FitPlan) -> tuple[Codes, NDArray[np.int64]]:
    """The codes of the images; and (M, 5 T) those and the codes of the preset's views.

    Views are the images flipped and shifted. Their codes are as real, and a model that sees more of
    them knows those of other images better.
    """
    seen = encoder.encode(images)
    generator = torch.Generator().manual_seed(plan.seed)
    # shifted by at most half of what a top code stands for
    pad = min(encoder.vqvae.config.stride, *(side - 1 for side in images.shape[1:3]))
    views = [seen]
    for _ in range(plan.preset.views):
        drawn = augment.draw(len(images), pad, generator)
        shifted = augment.flip_and_shift(torch.from_numpy(images), drawn, pad)
        views.append(encoder.encode(shifted.numpy()))
    return seen, Codes.concat(views).flat.astype(np.int64)


def _begin(
    config: NetworkConfig, vqvae: VQVAE, seen: Codes, plan: FitPlan, known: Sequence[BothLevels]
) -> tuple[BothLevels, Start]:
    """A network to fit and how to fit it: it begins with what is ``known``, or at
    least with the geometry of the codebooks."""
    config = replace(config, codebook_size=vqvae.config.codebook_size)
    with seeded(plan.seed):
        network = config.network()
    for other in known:
        if replace(other.config, weight_bits=config.weight_bits) == config:
            network.load_state_dict(other.state_dict())
            return network, TUNING
    network.start_from(
        (vqvae.top.codebook.cpu(), vqvae.bottom.codebook.cpu()),
        (_frequency(seen.top, config), _frequency(seen.bottom, config)),
    )
    if any(network.start_likelihood_from(other) for other in known):
        return network, TUNING
    latents = isinstance(config, BitSwapConfig)
    rate = plan.preset.latents_rate if latents else plan.preset.entropy_rate
    return network, Start(rate, random=True)


def _fit_levels(
    name: str,
    network: BothLevels,
    data: NDArray[np.int64],
    top_shape: tuple[int, int],
    plan: FitPlan,
    share: float,
    report: Report | None,
    start: Start,
) -> Log:
    """Fit one level after the other for a share of a budget in minutes; freeze both."""
    log = Log()
    latents = isinstance(network.config, BitSwapConfig)
    batch = plan.sizes.latents_batch if latents else plan.sizes.entropy_batch
    for level in LEVELS:
        task = LevelFit(
            f"{name} {level}", network.levels[level], top_shape, plan.device, start,
            plan.preset.constant,
        )  # fmt: skip
        log[f"{name}_{level}"] = fit(
            task, torch.from_numpy(data), plan.budget.share(share * LEVEL_SHARES[level]),
            batch_size=min(batch, len(data)), seed=plan.seed,
            fingerprint=plan.fingerprint(network.config, data),
            checkpoint=plan.checkpoint(f"{name}-{level}.pt"), report=report,
            processes=plan.processes,
        )  # fmt: skip
    network.cpu()
    freeze(network)
    return log


def _frequency(codes: NDArray[np.uint16], config: NetworkConfig) -> torch.Tensor:
    return torch.from_numpy(np.bincount(codes.reshape(-1), minlength=config.codebook_size)).float()
