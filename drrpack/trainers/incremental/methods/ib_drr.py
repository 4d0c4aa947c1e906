"""IB-DRR: DRR with information back from raw images to their reconstructions (paper, section 5)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method
from drrpack.trainers.incremental.methods.information_back import (
    IBOptions,
    InformationBack,
    Pairs,
    WithPredictor,
)
from drrpack.trainers.incremental.methods.ledger import kept_codes, least_codes
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import FORWARD, Training, by_recipe
from drrpack.trainers.learning.classifier import Classifier


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
        pairs = Pairs(images, labels, *self._pairs(context, each)).to(context.device)
        smoothing, seed = context.recipe.label_smoothing, context.stage_seed("raw images")
        loss = InformationBack(pairs, self.options, smoothing, seed)
        if not self.options.predictor:
            return context.train(images, labels, loss=loss)
        start = context.build(lambda: WithPredictor(context.new_network()))
        trained = context.train(images, labels, network=start, loss=loss)
        return context.classifier(trained.network.base)

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The images that are kept. Raw images are seen beside them, of which there are about
        ``raw`` for each."""
        each, _ = kept_codes(context, raw=self.keeps_exemplars)
        images = context.count(context.seen, each)
        old = context.old if self.keeps_exemplars else ()
        raw = context.count(context.new, each)
        raw += sum(len(context.exemplars(label)[0]) for label in old[:1]) * len(old)
        return [by_recipe(context, images, 1 + self._beside(min(1.0, raw / images)))]

    def _beside(self, raw: float) -> float:
        """What the term of the loss costs for an image, ``raw`` being the raw images for each."""
        step = 1.0 if self.options.predictor else FORWARD
        return 1.0 + step if self.options.drawn == "balanced" else raw * step

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """All of the file but its payload, and the codes of an image."""
        return least_codes(context, raw=self.keeps_exemplars)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The file; the raw exemplars in it count where they are used."""
        return kept_codes(context, raw=self.keeps_exemplars)[1]

    def _pairs(self, context: PhaseContext, each: int | None) -> tuple[Tensor, Tensor]:
        """Raw images (M, H, W, 3), and the row (M,) of each one's reconstruction."""
        counts, new = context.counts, set(context.new)
        rows = np.full(sum(counts[label] for label in context.seen), -1)
        replayed = context.best(context.seen, each)
        rows[replayed] = np.arange(len(replayed))  # of an image among those that are replayed
        images, where, start = [], [], 0
        for label in context.seen:
            count = counts[label]
            if label in new:
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
