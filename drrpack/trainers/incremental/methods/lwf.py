"""LwF: learning without forgetting, by distillation alone (Li and Hoiem, ECCV 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import State
from drrpack.trainers.incremental.methods.finetune import Finetune
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import FORWARD, Training, by_recipe
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.network import Network
from drrpack.trainers.learning.training import Terms


@dataclass(frozen=True)
class LwFOptions(MethodOptions):
    """The published values (section 3)."""

    temperature: float = 2.0
    weight: float = 1.0  # of the distillation

    def __post_init__(self) -> None:
        self.check_range("temperature", above=0)
        self.check_range("weight")


@register
class LwF(Finetune):
    """Trains the last network on the new classes, and keeps no image of old ones.

    The old outputs for the new images are kept near to what they were: the cross-entropy between
    the old network's answers and the new one's, both softened by the temperature (equations 2 and
    3), summed over earlier phases. Each phase is a task, with a softmax of its own for the
    distillation and for the cross-entropy of new classes: in the paper each has its own head. The
    paper first trains the new head alone, which this does not.
    """

    name = "lwf"
    revision = 1
    Options = LwFOptions
    options: LwFOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.tasks: list[slice] = []  # the classes of each phase so far, by their positions

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The new images, which a teacher sees as well after the base."""
        cost = 1 + FORWARD if context.phase else 1
        return [by_recipe(context, context.count(context.new), cost)]

    def train_phase(self, context: PhaseContext) -> Classifier:
        old, earlier = len(context.old), list(self.tasks)
        self.tasks.append(slice(old, len(context.seen)))
        if self.network is None:
            return super().train_phase(context)
        images, labels = context.raw(context.new)
        teacher = context.snapshot(self.network)
        smoothing = context.recipe.label_smoothing

        def loss(network: Network, batch: Batch) -> Terms:
            logits, wanted = network(batch.images), teacher(batch.images)
            own = logits[:, old : network.seen]
            kept = sum_over_tasks(logits, wanted, earlier, self.options.temperature)
            return {
                "cross_entropy": F.cross_entropy(
                    own.float(), batch.labels - old, label_smoothing=smoothing
                ),
                "distillation": self.options.weight * kept,
            }

        classifier = context.train(images, labels, network=self.network, loss=loss)
        self.network = classifier.network
        return classifier

    def state_dict(self) -> State:
        bounds = [(task.start, task.stop) for task in self.tasks]
        return {**super().state_dict(), "tasks": bounds}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        super().load_state_dict(state, context)
        self.tasks = [slice(*bounds) for bounds in state["tasks"]]


def sum_over_tasks(
    logits: Tensor, wanted: Tensor, tasks: Sequence[slice], temperature: float
) -> Tensor:
    """The `distillation` of each task's own classes, added up: logits (B, C)."""
    each = [distillation(logits[:, task], wanted[:, task], temperature) for task in tasks]
    return torch.stack(each).sum()


def distillation(
    logits: Tensor, wanted: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy between two answers (B, C), both softened: the mean over the batch (Hinton et
    al. 2015; without their factor of the squared temperature, as in LwF).

    With ``weights`` of the classes (C,) those wanted are multiplied by them and normalised again.
    """
    log_p = F.log_softmax(logits.float() / temperature, 1)
    q = F.softmax(wanted.float() / temperature, 1)
    if weights is not None:
        q = q * weights
        q = q / q.sum(1, keepdim=True)
    return -(q * log_p).sum(1).mean()
