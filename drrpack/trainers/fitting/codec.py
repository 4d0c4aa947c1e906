"""Fitting a codec on images: VQ-VAE, then entropy models on its codes, then its decoder on them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core import codec as codecs
from drrpack.core.codec import ClassCodes, Codec, Pixels
from drrpack.core.entropy.code_model import BitSwap, BitSwapConfig
from drrpack.core.exact import freeze as freeze_integers
from drrpack.core.exact import move, thaw
from drrpack.core.rdoq import BEST, DEFAULT_QUALITY, thrift, with_quality
from drrpack.core.settings import float_arithmetic, seeded, unfilled
from drrpack.core.vqvae import VQVAE, Choose, VQVAEConfig, grid_shapes
from drrpack.trainers.fitting import (
    entropy_model as fit_bitswap,
)
from drrpack.trainers.fitting import (
    features as fit_features,
)
from drrpack.trainers.fitting import (
    vqvae as fit_vqvae,
)
from drrpack.trainers.fitting.decoder import DecoderFit
from drrpack.trainers.fitting.entropy_model import LevelFit
from drrpack.trainers.fitting.features import FeatureFit, Features
from drrpack.trainers.fitting.loop import Budget, Report, fit
from drrpack.trainers.fitting.narrow import narrow_bitswap, narrow_vqvae
from drrpack.trainers.fitting.vqvae import VQVAEFit
from drrpack.trainers.learning import augment

# Of a budget in minutes.
FEATURES_SHARE = 0.1
VQVAE_SHARE = 0.35
ENTROPY_SHARE = 0.2  # the first model, on the nearest codes
THRIFTY_SHARE = 0.15  # the same on the codes that are chosen by it
NEXT_SHARE = 0.1  # a model that begins with what the first has learned
DECODER_SHARE = 0.1  # the VQ-VAE's decoder, on the codes that are chosen
ALONE_SHARE = 0.7  # or where nothing else is fitted but the features
VIEWS = 2  # of each image, beside itself, that the entropy models see
SHIFT = 4  # pixels at most: half of what a top code stands for
LEVEL_SHARES = {"top": 0.45, "bottom": 0.55}  # of an entropy model

# Smaller than the paper's: what is finer or wider saves less than it takes (docs/rate.md).
EMBEDDING = 16
WEIGHT_BITS = 5  # of entropy models
CODEBOOK_BITS = 7
VQVAE_SIZE = VQVAEConfig(embedding=EMBEDDING, codebook_bits=CODEBOOK_BITS)
ENTROPY_MODELS = (
    BitSwapConfig(latents=0, embedding=EMBEDDING, weight_bits=WEIGHT_BITS),
    BitSwapConfig(embedding=EMBEDDING, weight_bits=WEIGHT_BITS),
)

Log = dict[str, dict[str, float]]


@dataclass(frozen=True)
class FitPlan:
    """What to fit, for how long, and where to keep checkpoints."""

    budget: Budget
    device: torch.device
    seed: int = 0
    vqvae: VQVAEConfig = VQVAE_SIZE
    entropy: Sequence[BitSwapConfig] = ENTROPY_MODELS
    quality: int = DEFAULT_QUALITY  # that codes are chosen with, where there is a context model
    start: Sequence[Codec] = ()  # of one VQ-VAE; the fit goes on from there
    checkpoints: Path | None = None  # a folder; without one a fit can't go on after a break

    def checkpoint(self, name: str) -> Path | None:
        return None if self.checkpoints is None else self.checkpoints / name


@float_arithmetic()
def fit_codec(
    images: Pixels,
    plan: FitPlan,
    report: Report | None = None,
    labels: NDArray[np.int64] | None = None,
) -> tuple[list[Codec], Log]:
    """Fit all networks on images uint8 (N, H, W, 3); returns a frozen codec for each entropy model
    of the plan, all with the same VQ-VAE, and a log.

    With ``labels`` (N,), from 0 and of two classes at least, the VQ-VAE keeps what a classifier of
    them looks at. It is frozen, as it will be stored, before the entropy models see its codes; but
    for its decoder, which is fitted on the codes that are chosen in the end.
    """
    features, log = _fit_features(images, labels, plan, report, FEATURES_SHARE)
    vqvae, log["vqvae"] = _fit_vqvae(images, plan, report, features)
    networks, seen, logs = _fit_entropy(vqvae, images, plan, report)
    log |= logs
    if any(name.startswith("thrifty") for name in logs):  # other codes than the VQ-VAE's fit saw
        made = _fit_decoder(vqvae, images, seen, plan, report, features, DECODER_SHARE)
        vqvae, log["decoder"] = made
    return [codecs.finish(vqvae, network, seen, plan.device) for network in networks], log


@float_arithmetic()
def fit_decoder(
    images: Pixels,
    plan: FitPlan,
    report: Report | None = None,
    labels: NDArray[np.int64] | None = None,
) -> tuple[list[Codec], Log]:
    """As `fit_codec`, but the decoder of the start alone: codes, and what they take, stay."""
    features, log = _fit_features(images, labels, plan, report, 1 - ALONE_SHARE)
    first, *_ = with_quality(plan.start, plan.quality)
    seen = codecs.encode_images(first.vqvae, images, None, first.choose)
    vqvae, log["decoder"] = _fit_decoder(
        deepcopy(first.vqvae), images, seen, plan, report, features, ALONE_SHARE
    )
    made = [
        replace(codecs.finish(vqvae, codec.bitswap, seen, plan.device), context=codec.context)
        for codec in plan.start
    ]
    return made, log


def _fit_features(
    images: Pixels,
    labels: NDArray[np.int64] | None,
    plan: FitPlan,
    report: Report | None,
    share: float,
) -> tuple[Features | None, Log]:
    """What a classifier looks at; nothing where there is nothing to tell apart."""
    if plan.checkpoints is not None:
        plan.checkpoints.mkdir(parents=True, exist_ok=True)
    if labels is None or len(np.unique(labels)) < 2:
        return None, {}
    with seeded(plan.seed):
        task = FeatureFit(torch.from_numpy(images), torch.from_numpy(labels), plan.device)
    log = fit(
        task, torch.arange(len(images)), plan.budget.share(share),
        batch_size=min(fit_features.BATCH_SIZE, len(images)), seed=plan.seed,
        fingerprint=_fingerprint(plan, fit_features.WIDTH, images),
        checkpoint=plan.checkpoint("features.pt"), report=report,
    )  # fmt: skip
    return task.finish(), {"features": log}


def _fit_vqvae(
    images: Pixels, plan: FitPlan, report: Report | None, features: Features | None
) -> tuple[VQVAE, dict[str, float]]:
    with seeded(plan.seed):
        network = _continued(plan) if plan.start else VQVAE(plan.vqvae)
    task = VQVAEFit(network, plan.device, features, fitted=bool(plan.start))
    log = fit(
        task, torch.from_numpy(images), plan.budget.share(VQVAE_SHARE),
        batch_size=min(fit_vqvae.BATCH_SIZE, len(images)), seed=plan.seed,
        fingerprint=_fingerprint(plan, (network.config, features is None), images),
        checkpoint=plan.checkpoint("vqvae.pt"), report=report,
    )  # fmt: skip
    network = task.finish()
    return network.to(plan.device).to(memory_format=torch.channels_last), log


def _fit_decoder(
    vqvae: VQVAE,
    images: Pixels,
    codes: ClassCodes,
    plan: FitPlan,
    report: Report | None,
    features: Features | None,
    share: float,
) -> tuple[VQVAE, dict[str, float]]:
    task = DecoderFit(vqvae, torch.from_numpy(images), codes, plan.device, features)
    log = fit(
        task, torch.arange(len(images)), plan.budget.share(share),
        batch_size=min(fit_vqvae.BATCH_SIZE, len(images)), seed=plan.seed,
        fingerprint=_fingerprint(plan, (vqvae.config, features is None, codes.digest), images),
        checkpoint=plan.checkpoint("decoder.pt"), report=report,
    )  # fmt: skip
    return task.finish(), log


def _continued(plan: FitPlan) -> VQVAE:
    """The VQ-VAE to go on from, on the plan's grid from now on, and as narrow as the plan's."""
    start = plan.start[0].vqvae
    if start.config.embedding > plan.vqvae.embedding:
        start = narrow_vqvae(start, plan.vqvae.embedding)
    grid = {name: getattr(plan.vqvae, name) for name in ("weight_bits", "codebook_bits")}
    network = unfilled(lambda: VQVAE(replace(start.config, **grid)))
    network.load_state_dict(start.state_dict())
    for quantiser in (network.top, network.bottom):
        quantiser.start_averages()
    return network


def _fit_entropy(
    vqvae: VQVAE, images: Pixels, plan: FitPlan, report: Report | None
) -> tuple[list[BitSwap], ClassCodes, Log]:
    """The entropy models, the codes that they are for, and a log.

    A context model is fitted on the nearest codes, and then on those that it chooses itself where
    the plan's quality says so; models after it see these, too.
    """
    top_shape = grid_shapes(*images.shape[1:3])[0]
    known, made = [_narrowed(codec.bitswap, plan) for codec in plan.start], list[BitSwap]()
    log: Log = {}
    seen, views = _codes(vqvae, images, plan, None)
    for config in plan.entropy:
        network, fitted = _begin(config, vqvae, seen, plan, known)
        rate = fit_bitswap.TUNING_RATE if fitted else fit_bitswap.PEAK_LEARNING_RATE
        share = NEXT_SHARE if made else ENTROPY_SHARE
        log |= _fit_levels(config.kind, network, views, top_shape, plan, share, report, rate)
        if config.kind == "context" and plan.quality < BEST:
            move(network, plan.device)
            seen, views = _codes(vqvae, images, plan, thrift(network, plan.quality))
            move(network, "cpu")
            thaw(network)
            rate = fit_bitswap.TUNING_RATE
            log |= _fit_levels(
                "thrifty", network, views, top_shape, plan, THRIFTY_SHARE, report, rate
            )
        known.insert(0, network)
        made.append(network)
    return made, seen, log


def _narrowed(network: BitSwap, plan: FitPlan) -> BitSwap:
    """A known entropy model, as narrow as the plan's."""
    width = min([config.embedding for config in plan.entropy])
    return network if network.config.embedding <= width else narrow_bitswap(network, width)


def _codes(
    vqvae: VQVAE, images: Pixels, plan: FitPlan, choose: Choose | None
) -> tuple[ClassCodes, NDArray[np.int64]]:
    """The codes of the images; and (M, 5 T) those and others of the images flipped and shifted: as
    real as their own, and a model that sees more of them knows those of other images better."""
    seen = codecs.encode_images(vqvae, images, None, choose)
    generator = torch.Generator().manual_seed(plan.seed)
    pad = min(SHIFT, *(side - 1 for side in images.shape[1:3]))
    views = [seen.flat]
    for _ in range(VIEWS):
        drawn = augment.draw(len(images), pad, generator)
        shifted = augment.flip_and_shift(torch.from_numpy(images), drawn, pad)
        views.append(codecs.encode_images(vqvae, shifted.numpy(), None, choose).flat)
    return seen, np.concatenate(views)


def _begin(
    config: BitSwapConfig, vqvae: VQVAE, seen: ClassCodes, plan: FitPlan, known: Sequence[BitSwap]
) -> tuple[BitSwap, bool]:
    """An entropy model to fit, and whether it knows something already: what is ``known``, or at
    least the geometry of the codebooks."""
    config = replace(config, codebook_size=vqvae.config.codebook_size)
    with seeded(plan.seed):
        network = BitSwap(config)
    for other in known:
        if replace(other.config, weight_bits=config.weight_bits) == config:
            network.load_state_dict(other.state_dict())
            return network, True
    network.start_from(
        (vqvae.top.codebook.cpu(), vqvae.bottom.codebook.cpu()),
        (_frequency(seen.top, config), _frequency(seen.bottom, config)),
    )
    return network, any(network.start_likelihood_from(other) for other in known)


@float_arithmetic()
def tune_bitswap(
    network: BitSwap,
    codes: NDArray[np.int64],
    top_shape: tuple[int, int],
    plan: FitPlan,
    report: Report | None = None,
) -> Log:
    """Go on fitting a Bit-Swap, as it was stored, on codes (N, 5 T); it is frozen again then."""
    thaw(network)
    rate = fit_bitswap.TUNING_RATE
    return _fit_levels(network.config.kind, network, codes, top_shape, plan, 1.0, report, rate)


def _fit_levels(
    name: str,
    network: BitSwap,
    data: NDArray[np.int64],
    top_shape: tuple[int, int],
    plan: FitPlan,
    share: float,
    report: Report | None,
    rate: float,
) -> Log:
    """Fit one level after the other for a share of a budget in minutes; freeze both."""
    log = {}
    for level, model in (("top", network.top), ("bottom", network.bottom)):
        task = LevelFit(f"{name} {level}", model, top_shape, plan.device, rate)
        log[f"{name}_{level}"] = fit(
            task, torch.from_numpy(data), plan.budget.share(share * LEVEL_SHARES[level]),
            batch_size=min(fit_bitswap.BATCH_SIZE, len(data)), seed=plan.seed,
            fingerprint=_fingerprint(plan, network.config, data),
            checkpoint=plan.checkpoint(f"{name}-{level}.pt"), report=report,
        )  # fmt: skip
    network.cpu()
    freeze_integers(network)
    return log


def _frequency(codes: NDArray[np.int64], config: BitSwapConfig) -> torch.Tensor:
    return torch.from_numpy(np.bincount(codes.reshape(-1), minlength=config.codebook_size)).float()


def _fingerprint(plan: FitPlan, config: object, data: NDArray[Any]) -> str:
    """What a checkpoint belongs to: these data, this network, this seed and what the fit began
    with; not the budget."""
    arrays = [data[:: max(1, len(data) // 1000)]]
    arrays += [codec.vqvae.bottom.codebook.cpu().numpy() for codec in plan.start]
    digests = [sha256(np.ascontiguousarray(array).tobytes()).hexdigest() for array in arrays]
    parts = (repr(config), str(plan.seed), str(data.shape), *digests)
    return sha256("\n".join(parts).encode()).hexdigest()
