"""Fit a codec on images: the VQ-VAE, then entropy models on its codes, then the decoder on them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.codec import Codec, finish
from drrpack.core.codes import Codes
from drrpack.core.frequencies import frequency_tables
from drrpack.core.pricing import with_quality
from drrpack.core.settings import float_arithmetic, seeded, unfilled
from drrpack.core.vqvae import VQVAE
from drrpack.trainers.fitting.decoder import DecoderFit
from drrpack.trainers.fitting.entropy import chooses_codes, entropy_shares, fit_entropy
from drrpack.trainers.fitting.features import FeatureFit, Features
from drrpack.trainers.fitting.loop import Report, fit
from drrpack.trainers.fitting.narrow import narrow_vqvae
from drrpack.trainers.fitting.plan import FitPlan, Log
from drrpack.trainers.fitting.vqvae import VQVAEFit
from drrpack.trainers.learning.resnet import ResNet18

# Of a budget in minutes, where all is fitted; what is not leaves its share to the rest.
FEATURES_SHARE = 0.1
VQVAE_SHARE = 0.35
DECODER_SHARE = 0.1  # the VQ-VAE's decoder, on the codes that are chosen
ALONE_SHARE = 0.7  # or where nothing else is fitted but the features


@float_arithmetic()
def fit_codec(
    images: Pixels,
    plan: FitPlan,
    report: Report | None = None,
    labels: NDArray[np.int64] | None = None,
) -> tuple[list[Codec], Log]:
    """Fit all networks on images uint8 (N, H, W, 3); returns a codec for each entropy model
    of the plan, all with the same VQ-VAE, and a log.

    With ``labels`` (N,), from 0 and of two classes at least, the VQ-VAE keeps what a classifier of
    them looks at. It is rounded to what will be stored before the entropy models see its codes; but
    for its decoder, which is fitted on the codes that are chosen in the end.
    """
    looks = _tells_apart(labels, plan)
    chooses = chooses_codes(plan)  # other codes than the VQ-VAE's fit saw
    decoder = DECODER_SHARE * chooses
    used = FEATURES_SHARE * looks + VQVAE_SHARE + entropy_shares(plan) + decoder
    plan = replace(plan, budget=plan.budget.share(1 / used))
    features, log = _fit_features(images, labels, plan, report, FEATURES_SHARE)
    vqvae, log["vqvae"] = _fit_vqvae(images, plan, report, features)
    fitted = fit_entropy(vqvae, images, plan, report)
    log |= fitted.log
    if chooses:
        made = _fit_decoder(vqvae, images, fitted.codes, plan, report, features, DECODER_SHARE)
        vqvae, log["decoder"] = made
    return [finish(vqvae, model, fitted.codes, plan.device) for model in fitted.models], log


@float_arithmetic()
def fit_decoder(
    images: Pixels,
    plan: FitPlan,
    report: Report | None = None,
    labels: NDArray[np.int64] | None = None,
) -> tuple[list[Codec], Log]:
    """As `fit_codec`, but the decoder of the start alone: codes, and what they take, stay."""
    features, log = _fit_features(images, labels, plan, report, 1 - ALONE_SHARE)
    share = 1.0 if features is None else ALONE_SHARE
    first, *_ = with_quality(plan.start, plan.quality)
    seen = first.encode(images)
    vqvae, log["decoder"] = _fit_decoder(
        deepcopy(first.vqvae), images, seen, plan, report, features, share
    )
    return [_with_decoder(codec, vqvae, seen, plan) for codec in plan.start], log


def _with_decoder(codec: Codec, vqvae: VQVAE, seen: Codes, plan: FitPlan) -> Codec:
    """The codec with another VQ-VAE, whose codes are the same."""
    tables = frequency_tables(seen, codec.entropy.codebook_size)
    made = finish(vqvae, codec.entropy.with_tables(tables), seen, plan.device)
    return replace(made, encoder=replace(made.encoder, prices=codec.encoder.prices))


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
    if labels is None or not _tells_apart(labels, plan):
        return None, {}
    with seeded(plan.seed):
        task = FeatureFit(
            torch.from_numpy(images),
            torch.from_numpy(labels),
            plan.device,
            plan.sizes.features_width,
        )
    log = fit(
        task, torch.arange(len(images)), plan.budget.share(share),
        batch_size=min(plan.sizes.features_batch, len(images)), seed=plan.seed,
        fingerprint=plan.fingerprint(_of_network(plan.sizes.features_width, task), images),
        checkpoint=plan.checkpoint("features.pt"), report=report, processes=plan.processes,
    )  # fmt: skip
    return task.finish(), {"features": log}


def _tells_apart(labels: NDArray[np.int64] | None, plan: FitPlan) -> bool:
    """Whether a classifier has classes to tell apart, and the plan wants what it looks at."""
    return plan.preset.perceptual and labels is not None and len(np.unique(labels)) > 1


def _of_network(width: int, task: FeatureFit) -> object:
    """What a checkpoint of features is of; earlier ones are all of a ResNet-18 for small images."""
    kind = type(task.network)
    return width if kind is ResNet18 else (width, kind.__name__)


def _fit_vqvae(
    images: Pixels, plan: FitPlan, report: Report | None, features: Features | None
) -> tuple[VQVAE, dict[str, float]]:
    with seeded(plan.seed):
        network = _continued(plan) if plan.start else VQVAE(plan.vqvae)
    task = VQVAEFit(network, plan.device, features, bool(plan.start), plan.preset)
    log = fit(
        task, torch.from_numpy(images), plan.budget.share(VQVAE_SHARE),
        batch_size=min(plan.sizes.vqvae_batch, len(images)), seed=plan.seed,
        fingerprint=plan.fingerprint((network.config, features is None, *plan.batch), images),
        checkpoint=plan.checkpoint("vqvae.pt"), report=report, processes=plan.processes,
    )  # fmt: skip
    network = task.finish()
    return network.to(plan.device).to(memory_format=torch.channels_last), log


def _fit_decoder(
    vqvae: VQVAE,
    images: Pixels,
    codes: Codes,
    plan: FitPlan,
    report: Report | None,
    features: Features | None,
    share: float,
) -> tuple[VQVAE, dict[str, float]]:
    task = DecoderFit(vqvae, torch.from_numpy(images), codes, plan.device, features)
    log = fit(
        task, torch.arange(len(images)), plan.budget.share(share),
        batch_size=min(plan.sizes.vqvae_batch, len(images)), seed=plan.seed,
        fingerprint=plan.fingerprint(
            (vqvae.config, features is None, codes.digest, *plan.batch), images
        ),
        checkpoint=plan.checkpoint("decoder.pt"), report=report, processes=plan.processes,
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
