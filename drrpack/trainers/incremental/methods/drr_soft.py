"""DRR with soft labels: a teacher sees raw images once, and leaves its answers beside the codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import Method, State
from drrpack.trainers.incremental.methods.ledger import kept_codes, least_codes
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import Training, by_recipe
from drrpack.trainers.learning.batches import Batch
from drrpack.trainers.learning.classifier import Classifier
from drrpack.trainers.learning.network import Network
from drrpack.trainers.learning.training import Terms, smoothed

STEPS = 255  # of the largest probability of an answer; each takes a byte


@dataclass(frozen=True)
class SoftOptions(MethodOptions):
    """Options of the soft labels.

    Attributes:
        weight: of the soft labels in the loss, 0 to 1; the hard labels have the rest.
        temperature: divides the teacher's logits before its answer is kept.
        kept: how many classes of an answer are kept, the likeliest.
    """

    weight: float = 0.5
    temperature: float = 1.0
    kept: int = 3

    def __post_init__(self) -> None:
        self.check_range("weight")
        if self.weight > 1:
            raise ValueError(f"found weight={self.weight}, expected 1 or less")
        self.check_range("temperature", above=0)
        self.check_range("kept", least=1)


@register
class SoftDRR(Method):
    """As `drr`, and each image has a soft label beside its hard one.

    When classes arrive, their raw images are there. A teacher is trained on these, and its answers
    for the same images, among the new classes, are stored in a few bytes each. Later phases train
    on reconstructions, against both labels. So what the raw images showed of the likeness between
    classes outlives them (the soft targets of Hinton et al. 2015).
    """

    name = "drr-soft"
    needs = frozenset({"replayed", "raw_new"})
    revision = 1
    Options = SoftOptions
    options: SoftOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.answers: list[Answers] = []  # of each phase

    def train_phase(self, context: PhaseContext) -> Classifier:
        each, _ = kept_codes(context, raw=False, beside=self._bytes_each(context))
        self.answers.append(self._taught(context, each))
        images, labels = context.replayed(context.seen, each)
        classes = torch.cat([one.classes for one in self.answers]).long().to(context.device)
        steps = torch.cat([one.steps for one in self.answers]).float().to(context.device)
        chances = steps / steps.sum(1, keepdim=True)
        smoothing, weight = context.recipe.label_smoothing, self.options.weight

        def loss(network: Network, batch: Batch) -> Terms:
            logits = network(batch.images)
            hard = smoothed(logits, batch.labels, network.seen, smoothing)
            log_p = F.log_softmax(logits.float(), 1).gather(1, classes[batch.indices])
            soft = -(chances[batch.indices] * log_p).sum(1).mean()
            return {"cross_entropy": (1 - weight) * hard, "soft_labels": weight * soft}

        return context.train(images, labels, loss=loss)

    def trainings(self, context: PhaseContext) -> list[Training]:
        """The teacher's, of raw images of the new classes, and one of the images that are kept."""
        each, _ = kept_codes(context, raw=False, beside=self._bytes_each(context))
        images = context.count(context.new), context.count(context.seen, each)
        return [by_recipe(context, count) for count in images]

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """All of the file but its payload; the codes and the soft label of an image."""
        fixed, image_bytes = least_codes(context, raw=False)
        return fixed, image_bytes + self._bytes_each(context)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The file as it stands, and the soft labels of the classes seen."""
        _, kept = kept_codes(context, raw=False, beside=self._bytes_each(context))
        return {**kept, "soft_labels": sum(one.nbytes for one in self.answers)}

    def state_dict(self) -> State:
        return {"answers": [[one.classes, one.steps] for one in self.answers]}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        self.answers = [Answers(*pair) for pair in state["answers"]]

    def _bytes_each(self, context: PhaseContext) -> int:
        """Bytes of the soft label of an image: a class and a probability, as often as is kept."""
        return self.options.kept * (_class_type(context).itemsize + 1)

    def _taught(self, context: PhaseContext, each: int | None) -> Answers:
        """The answers of a teacher of the new classes for those of their images that are kept."""
        images, labels = context.raw(context.new)
        teacher: Network = context.train(images, labels, stage="teacher").network
        images, _ = context.raw(context.new, each)
        first = len(context.old)
        with torch.inference_mode():
            features = context.features(teacher, images).to(context.device)
            logits = teacher.classify(features)[:, first : len(context.seen)].cpu()
        likeliest, steps = in_steps(logits.double() / self.options.temperature, self.options.kept)
        room = (0, self.options.kept - steps.shape[1])  # class 0 with no probability
        return Answers(F.pad(likeliest + first, room).to(_class_type(context)), F.pad(steps, room))


@dataclass(frozen=True)
class Answers:
    """The soft labels of N images: K classes each, and their probabilities in steps.

    The likeliest class has all steps, however small its probability is among many classes. A
    probability counts by its share in the sum of its row.
    """

    classes: Tensor  # (N, K) positions in the classes seen
    steps: Tensor  # (N, K) uint8, of which the first are `STEPS`

    @property
    def nbytes(self) -> int:
        return self.classes.nbytes + self.steps.nbytes


def in_steps(logits: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """The ``kept`` likeliest classes of logits (N, C), or all if fewer, the likeliest first, and
    their probabilities in steps: (N, K) int64 and uint8."""
    likeliest = F.softmax(logits, 1).topk(min(kept, logits.shape[1]), 1)
    shares = likeliest.values / likeliest.values[:, :1]
    return likeliest.indices, (shares * STEPS).round().byte()


def _class_type(context: PhaseContext) -> torch.dtype:
    """A type that has a number for each class of the run."""
    return torch.uint8 if context.classes <= 256 else torch.int32
