"""ER: experience replay of raw exemplars, going on from the last network (Chaudhry et al. 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from drrpack.formats import raw
from drrpack.trainers.incremental.methods.base import PhaseContext, register
from drrpack.trainers.incremental.methods.finetune import Finetune
from drrpack.trainers.learning.classifier import Classifier


@register
class ExperienceReplay(Finetune):
    """Trains on the raw images of new classes and on the exemplars kept of old ones, half and half:
    exemplars come as often as it takes, as in the paper a batch from memory goes with each new one.

    The best images of each class are kept, without loss and without a codec: a number of them, or
    as many as fit into the class's share of the budget.
    """

    name = "er"
    needs = frozenset({"raw_new", "ranked"})

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Tensor] = []  # (n, H, W, 3) of each class seen, in class order
        self.kept_bytes: list[int] = []

    def train_phase(self, context: PhaseContext) -> Classifier:
        images, labels = context.raw(context.new)
        chosen = [self._choose(context, label) for label in context.new]
        old = sum(map(len, self.kept))
        times = max(1, round(len(images) / old)) if old else 0
        of = [torch.full((len(kept),), label) for label, kept in enumerate(self.kept)]
        classifier = context.train(
            torch.cat([*times * self.kept, images]),
            torch.cat([*times * of, labels]),
            network=self.network,
        )
        self.network = classifier.network
        for kept, size in chosen:
            self.kept.append(kept)
            self.kept_bytes.append(size)
        return classifier

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """The network, and the best image."""
        fixed = {"old_network": self.network_bytes(context)}
        return fixed, float(packed_bytes(self._best(context, label)[:1]))

    def _best(self, context: PhaseContext, label: int) -> Tensor:
        """The images (n, H, W, 3) of a class that is new, the best first."""
        return context.raw([label])[0][torch.from_numpy(context.data.ranking(label))]

    def _choose(self, context: PhaseContext, label: int) -> tuple[Tensor, int]:
        """The exemplars of a class that is new, and the bytes that they take."""
        best = self._best(context, label)
        count = min(context.exemplars_per_class, len(best))
        size = packed_bytes(best[:count])
        if context.budget_bytes is not None:
            share = (context.budget_bytes - self.network_bytes(context)) / context.classes
            count = min(len(best), int(share * count / size * 1.1) + 1)
            while (size := packed_bytes(best[:count])) > share and count > 1:
                count = max(1, min(count - 1, int(share * count / size)))
        return best[:count], size

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The exemplars, packed as a memory packs its own, and the network to go on from."""
        return {"raw_exemplars": sum(self.kept_bytes), **super().memory_bytes(context)}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "kept": self.kept, "kept_bytes": self.kept_bytes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.kept, self.kept_bytes = list(state["kept"]), list(state["kept_bytes"])


def packed_bytes(images: Tensor) -> int:
    """What images (n, H, W, 3) take as records of raw exemplars."""
    return sum(len(record.data) for record in raw.pack(0, range(len(images)), images.numpy()))
