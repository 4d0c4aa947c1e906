"""Information back: the loss that pulls what a network sees in a reconstruction to what it sees in
the raw image behind it (paper, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drrpack.trainers.incremental.options import MethodOptions, option
from drrpack.trainers.learning import augment
from drrpack.trainers.learning.batches import Batch, augmented, normalise
from drrpack.trainers.learning.network import Linear, Network, running_moments_kept
from drrpack.trainers.learning.resnet import ResNet
from drrpack.trainers.learning.strong import Strength
from drrpack.trainers.learning.training import Terms, smoothed


@dataclass(frozen=True)
class IBOptions(MethodOptions):
    """Options of information back; the defaults are the paper's loss.

    Attributes:
        similarity_weight: the paper's lambda.
        reduction: of the similarities in a batch; the paper does not say which.
        compared: the features behind the last ReLU; those before it; the former less their mean
            over the batch; or the maps of all stages of the ResNet.
        predictor: a small network has to tell one from the other, in both directions, and raw
            images train the network too (SimSiam: Chen and He, CVPR 2021).
        drawn: the raw images behind the batch, most of which show new classes; or as many raw
            images drawn in a balance of classes, in a batch of their own.
    """

    similarity_weight: float = option(0.005, before=0.005)
    reduction: Literal["mean", "sum"] = option("mean", before="mean")
    compared: Literal["features", "before_relu", "centred", "stages"] = option(
        "features", before="features"
    )
    predictor: bool = option(False, before=False)
    drawn: Literal["with_batch", "balanced"] = option("with_batch", before="with_batch")

    def __post_init__(self) -> None:
        if self.predictor and self.compared == "stages":
            raise ValueError(
                "found predictor=True with compared=stages, expected another one beside a "
                "predictor: it compares one vector of each image, and not several maps"
            )
        self.check_range("similarity_weight")


@dataclass(frozen=True)
class Pairs:
    """Raw images and the reconstructions of the same images.

    Attributes:
        replayed: all reconstructions that are trained on (N, H, W, 3) uint8; labels (N,).
        raw: (M, H, W, 3) uint8. rows: (M,), where the reconstruction of each is in ``replayed``.
    """

    replayed: Tensor
    labels: Tensor
    raw: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> Pairs:
        parts = self.replayed, self.labels, self.raw, self.rows
        return Pairs(*(part.to(device) for part in parts))


class WithPredictor(Network):
    """A ResNet, and the predictor that only its training needs."""

    def __init__(self, base: ResNet) -> None:
        super().__init__()
        self.base, self.seen, self.feature_size = base, base.seen, base.feature_size
        hidden = max(1, base.feature_size // 4)  # a bottleneck, as in SimSiam
        self.predictor = nn.Sequential(
            Linear(base.feature_size, hidden), nn.ReLU(), Linear(hidden, base.feature_size)
        )

    def features(self, x: Tensor) -> Tensor:
        return self.base.features(x)

    def classify(self, features: Tensor) -> Tensor:
        return self.base.classify(features)

    def open_head(self, seen: int) -> None:
        super().open_head(seen)
        self.base.open_head(seen)


class InformationBack:
    """The loss L_ce + lambda L_sim: terms ``cross_entropy`` and ``similarity`` of a batch.

    L_sim is the negative cosine between what is compared of a reconstruction and of its raw image;
    the latter gets no gradient, unless there is a predictor. Both are flipped and cropped in the
    same way. Batch norm normalises raw images by the statistics of their own batch, and its running
    statistics come from reconstructions alone: most raw images show new classes, and mixed
    statistics made the network name these too rarely.
    """

    def __init__(self, pairs: Pairs, options: IBOptions, label_smoothing: float, seed: int) -> None:
        self.pairs, self.options, self.label_smoothing = pairs, options, label_smoothing
        device, count = pairs.rows.device, len(pairs.replayed)
        self.partner = torch.full((count,), -1, device=device)
        self.partner[pairs.rows] = torch.arange(len(pairs.rows), device=device)
        self.chance = torch.Generator().manual_seed(seed)
        own = pairs.labels[pairs.rows].cpu()
        self.balance = 1.0 / torch.bincount(own)[own]  # each class is drawn as often

    def __call__(self, network: ResNet | WithPredictor, batch: Batch) -> Terms:
        base = network.base if isinstance(network, WithPredictor) else network
        features, compared = self._look(base, batch.images)
        wrong = smoothed(base.classify(features), batch.labels, base.seen, self.label_smoothing)
        if self.options.drawn == "balanced":
            every = batch.count
            reconstructed, raw = map(batch.own, self._drawn(every, batch.strength))
            ours = self._look(base, reconstructed)[1] if every > 1 else []
        else:
            partners = self.partner[batch.indices]
            paired = (partners >= 0).nonzero().flatten()
            raw = batch.alike(self.pairs.raw[partners[paired]], paired)
            ours = [part[paired] for part in compared]
            every = int((self.partner[batch.all_indices] >= 0).sum())
        if every < 2:  # too few for a batch norm
            return {"cross_entropy": wrong}
        both = isinstance(network, WithPredictor)
        with nullcontext() if both else torch.no_grad(), running_moments_kept(network):
            theirs = self._look(base, raw)[1]
        if isinstance(network, WithPredictor):
            alike = _predicted(network.predictor, ours[0], theirs[0])
        else:
            alike = _cosine(ours, theirs)
        if self.options.reduction == "mean" and len(alike):
            reduced = alike.mean() * batch.weight(len(alike), every)
        else:
            reduced = alike.sum() * batch.scale
        return {
            "cross_entropy": wrong,
            "similarity": -self.options.similarity_weight * reduced,
        }

    def _look(self, network: ResNet, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features of images, and what is compared of them: vectors (B, D) each."""
        if self.options.compared in ("features", "centred"):
            features = network.features(images)
            centre = self.options.compared == "centred"
            return features, [features - features.mean(0) if centre else features]
        maps = network.maps(images)
        features = network.pooled(maps[-1])
        if self.options.compared == "before_relu":
            return features, [maps[-1].mean((2, 3))]
        return features, [one.flatten(1) for one in maps]

    def _drawn(self, count: int, strength: Strength = "crop") -> tuple[Tensor, Tensor]:
        """Reconstructions and raw images of ``count`` pairs in a balance of classes, normalised."""
        pairs = self.pairs
        picked = torch.multinomial(self.balance, count, replacement=True, generator=self.chance)
        pad = augment.crop_pad(pairs.raw.shape[1], pairs.raw.shape[2])
        draws = augment.draw(count, pad, self.chance, strong=strength != "crop")
        draws = draws.to(pairs.raw.device)
        picked = picked.to(pairs.raw.device)
        both = (pairs.replayed[pairs.rows[picked]], pairs.raw[picked])
        ours, theirs = (normalise(augmented(part, draws, pad, strength)) for part in both)
        return ours, theirs


def _cosine(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """The cosines (B,) of pairs of vectors (B, D); of several the mean."""
    each = [
        F.cosine_similarity(one.float(), other.float(), dim=1)
        for one, other in zip(ours, theirs, strict=True)
    ]
    return each[0] if len(each) == 1 else torch.stack(each).mean(0)


def _predicted(predictor: nn.Module, ours: Tensor, theirs: Tensor) -> Tensor:
    """How well (B,) each of two vectors tells the other, which gets no gradient: the mean of both
    directions."""
    forward = F.cosine_similarity(predictor(ours), theirs.detach(), dim=1)
    backward = F.cosine_similarity(predictor(theirs), ours.detach(), dim=1)
    return (forward + backward) / 2
