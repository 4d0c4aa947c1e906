"""Fitting a codec on images: VQ-VAE, then Bit-Swap on its codes, then both are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drrpack import codec as codecs
from drrpack.code_model import BitSwap, BitSwapConfig
from drrpack.codec import ClassCodes, Codec, Pixels
from drrpack.exact import freeze as freeze_integers
from drrpack.exact import thaw
from drrpack.trainers import fit_bitswap, fit_features, fit_vqvae
from drrpack.trainers.fit_bitswap import LevelFit
from drrpack.trainers.fit_features import FeatureFit, Features
from drrpack.trainers.fit_vqvae import VQVAEFit
from drrpack.trainers.fitting import Budget, Report, fit
from drrpack.vqvae import VQVAE, VQVAEConfig, grid_shapes

# Of a budget in minutes.
FEATURES_SHARE = 0.1
VQVAE_SHARE = 0.5
LEVEL_SHARE = {"top": 0.18, "bottom": 0.22}  # of the entropy model

Log = dict[str, dict[str, float]]


@dataclass(frozen=True)
class FitPlan:
    """What to fit, for how long, and where to keep checkpoints."""

    budget: Budget
    device: torch.device
    seed: int = 0
    vqvae: VQVAEConfig = field(default_factory=VQVAEConfig)
    bitswap: BitSwapConfig = field(default_factory=BitSwapConfig)
    checkpoints: Path | None = None  # a folder; without one a fit can't go on after a break

    def checkpoint(self, name: str) -> Path | None:
        return None if self.checkpoints is None else self.checkpoints / name


def fit_codec(
    images: Pixels,
    plan: FitPlan,
    report: Report | None = None,
    labels: NDArray[np.int64] | None = None,
) -> tuple[Codec, Log]:
    """Fit both networks on images uint8 (N, H, W, 3); returns the frozen codec and a log.

    With ``labels`` (N,), from 0 and of two classes at least, the VQ-VAE keeps what a classifier of
    them looks at. It is frozen, as it will be stored, before the entropy model sees its codes.
    """
    if plan.checkpoints is not None:
        plan.checkpoints.mkdir(parents=True, exist_ok=True)
    features: Features | None = None
    features_log: dict[str, float] = {}
    if labels is not None and len(np.unique(labels)) > 1:
        features, features_log = _fit_features(images, labels, plan, report)
    vqvae, vqvae_log = _fit_vqvae(images, plan, report, features)
    seen = codecs.encode_images(vqvae, images)
    bitswap, bitswap_logs = _fit_bitswap(vqvae, images, seen, plan, report)
    codec = codecs.finish(vqvae, bitswap, seen, plan.device)
    return codec, {"features": features_log, "vqvae": vqvae_log, **bitswap_logs}


def _fit_features(
    images: Pixels, labels: NDArray[np.int64], plan: FitPlan, report: Report | None
) -> tuple[Features, dict[str, float]]:
    torch.manual_seed(plan.seed)
    task = FeatureFit(torch.from_numpy(images), torch.from_numpy(labels), plan.device)
    log = fit(
        task, torch.arange(len(images)), plan.budget.share(FEATURES_SHARE),
        batch_size=min(fit_features.BATCH_SIZE, len(images)), seed=plan.seed,
        fingerprint=_fingerprint(plan, fit_features.WIDTH, images),
        checkpoint=plan.checkpoint("features.pt"), report=report,
    )  # fmt: skip
    return task.finish(), log


def _fit_vqvae(
    images: Pixels, plan: FitPlan, report: Report | None, features: Features | None
) -> tuple[VQVAE, dict[str, float]]:
    torch.manual_seed(plan.seed)
    task = VQVAEFit(VQVAE(plan.vqvae), plan.device, features)
    log = fit(
        task, torch.from_numpy(images), plan.budget.share(VQVAE_SHARE),
        batch_size=min(fit_vqvae.BATCH_SIZE, len(images)), seed=plan.seed,
        fingerprint=_fingerprint(plan, (plan.vqvae, features is None), images),
        checkpoint=plan.checkpoint("vqvae.pt"), report=report,
    )  # fmt: skip
    network = task.finish()
    return network.to(plan.device).to(memory_format=torch.channels_last), log


def _fit_bitswap(
    vqvae: VQVAE, images: Pixels, seen: ClassCodes, plan: FitPlan, report: Report | None
) -> tuple[BitSwap, Log]:
    mirrored = codecs.encode_images(vqvae, np.ascontiguousarray(images[:, :, ::-1]))
    data = np.concatenate([seen.flat, mirrored.flat])  # twice the codes, and as real
    torch.manual_seed(plan.seed)
    network = BitSwap(plan.bitswap)
    network.start_from(
        (vqvae.top.codebook.cpu(), vqvae.bottom.codebook.cpu()),
        (_frequency(seen.top, plan.bitswap), _frequency(seen.bottom, plan.bitswap)),
    )
    top_shape = grid_shapes(*images.shape[1:3])[0]
    logs = _fit_levels(network, data, top_shape, plan, LEVEL_SHARE, report)
    return network, logs


def tune_bitswap(
    network: BitSwap,
    codes: NDArray[np.int64],
    top_shape: tuple[int, int],
    plan: FitPlan,
    report: Report | None = None,
) -> Log:
    """Go on fitting a Bit-Swap, as it was stored, on codes (N, 5 T); it is frozen again then."""
    thaw(network)
    shares = {level: share / sum(LEVEL_SHARE.values()) for level, share in LEVEL_SHARE.items()}
    torch.manual_seed(plan.seed)
    rate = fit_bitswap.TUNING_RATE
    return _fit_levels(network, codes, top_shape, plan, shares, report, rate)


def _fit_levels(
    network: BitSwap,
    data: NDArray[np.int64],
    top_shape: tuple[int, int],
    plan: FitPlan,
    shares: Mapping[str, float],
    report: Report | None,
    rate: float = fit_bitswap.PEAK_LEARNING_RATE,
) -> Log:
    """Fit one level after the other, each for its share of a budget in minutes; freeze both."""
    logs = {}
    for level, model in (("top", network.top), ("bottom", network.bottom)):
        task = LevelFit(f"Bit-Swap {level}", model, top_shape, plan.device, rate)
        logs[f"bitswap_{level}"] = fit(
            task, torch.from_numpy(data), plan.budget.share(shares[level]),
            batch_size=min(fit_bitswap.BATCH_SIZE, len(data)), seed=plan.seed,
            fingerprint=_fingerprint(plan, network.config, data),
            checkpoint=plan.checkpoint(f"bitswap-{level}.pt"), report=report,
        )  # fmt: skip
    network.cpu()
    freeze_integers(network)
    return logs


def _frequency(codes: NDArray[np.int64], config: BitSwapConfig) -> torch.Tensor:
    return torch.from_numpy(np.bincount(codes.reshape(-1), minlength=config.codebook_size)).float()


def _fingerprint(plan: FitPlan, config: object, data: NDArray[Any]) -> str:
    """What a checkpoint belongs to: these data, this network, this seed; not the budget."""
    sample = data[:: max(1, len(data) // 1000)]
    parts = (repr(config), str(plan.seed), str(data.shape), sha256(sample.tobytes()).hexdigest())
    return sha256("\n".join(parts).encode()).hexdigest()
