"""IB-DRR: DRR with information back from raw images to their reconstructions (paper, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.methods.ledger import kept_codes, least_codes
from drrpack.trainers.incremental.options import MethodOptions, option
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.network import Network, running_moments_kept
from drrpack.trainers.learning.training import Loss, smoothed


@dataclass(frozen=True)
class IBOptions(MethodOptions):
    """Options of information back."""

    similarity_weight: float = option(0.005, before=0.005)  # lambda, section 6.1


@register
class IBDRR(Method):
    """Cross-entropy on reconstructions, as DRR, and features pulled to those of raw images.

    The method uses raw images of all new classes, and the raw exemplars that the memory keeps of
    old classes. Raw images never enter the cross-entropy.
    """

    name = "ib-drr"
    needs = frozenset({"replayed", "exemplars", "raw_new"})
    keeps_exemplars = True
    Options = IBOptions
    options: IBOptions

    def train_phase(self, context: PhaseContext) -> Classifier:
        each, _ = kept_codes(context, raw=self.keeps_exemplars)
        images, labels = context.replayed(context.seen, each)
        raw, rows = self._pairs(context, each)
        loss = information_back(
            raw.to(context.device), rows.to(context.device), len(images),
            self.options.similarity_weight, context.recipe.label_smoothing,
        )  # fmt: skip
        return context.train(images, labels, loss=loss)

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """All of the file but its payload, and the codes of an image."""
        return least_codes(context, raw=self.keeps_exemplars)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The file; the raw exemplars in it count where they are used."""
        return kept_codes(context, raw=self.keeps_exemplars)[1]

    def _pairs(self, context: PhaseContext, each: int | None) -> tuple[Tensor, Tensor]:
        """Raw images (M, H, W, 3), and the row (M,) of each one's reconstruction."""
        rows = np.full(sum(context.data.counts[label] for label in context.seen), -1)
        replayed = context.best(context.seen, each)
        rows[replayed] = np.arange(len(replayed))  # of an image among those that are replayed
        images, where, start = [], [], 0
        for label in context.seen:
            count = context.data.counts[label]
            if label in context.new:
                images.append(context.raw([label])[0])
                where.append(rows[start : start + count])
            elif self.keeps_exemplars:
                positions, kept = context.exemplars(label)
                images.append(kept)
                where.append(rows[start + positions])
            start += count
        found = np.concatenate(where)
        present = torch.from_numpy(np.flatnonzero(found >= 0))
        return torch.cat(images)[present], torch.from_numpy(found)[present]


def information_back(
    raw: Tensor, rows: Tensor, count: int, similarity_weight: float, label_smoothing: float
) -> Loss[Network]:
    """The loss L_ce + lambda L_sim on batches from ``count`` reconstructions (section 5).

    lambda is ``similarity_weight``. The two named terms are ``cross_entropy`` and ``similarity``.

    L_sim is the negative cosine between the features of a reconstruction and those of its raw
    image, before the dense layer; the latter get no gradient. It is averaged over the images of the
    batch that have a raw image: ``raw[m]`` belongs to the reconstruction ``rows[m]``. Both are
    flipped and cropped in the same way. Batch norm normalises raw images by the statistics of their
    own batch, and its running statistics come from reconstructions alone: most raw images show new
    classes, and mixed statistics made the network name these too rarely.
    """
    partner = torch.full((count,), -1, device=rows.device)
    partner[rows] = torch.arange(len(rows), device=rows.device)

    def loss(network: Network, batch: Batch) -> dict[str, Tensor]:
        features = network.features(batch.images)  # (B, F)
        logits = network.classify(features)
        wrong = smoothed(logits, batch.labels, network.seen, label_smoothing)
        partners = partner[batch.indices]
        paired = (partners >= 0).nonzero().flatten()
        if len(paired) < 2:  # too few for a batch norm
            return {"cross_entropy": wrong}
        with torch.no_grad(), running_moments_kept(network):
            wanted = network.features(batch.alike(raw[partners[paired]], paired))
        alike = F.cosine_similarity(features[paired].float(), wanted.float(), dim=1)
        return {"cross_entropy": wrong, "similarity": -similarity_weight * alike.mean()}

    return loss
