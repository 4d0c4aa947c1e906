"""A buffer of raw exemplars of old classes, which replay methods keep from phase to phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from drrpack.core.errors import OptionError
from drrpack.formats import raw
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import State
from drrpack.trainers.learning.network import Network


class Policy(Protocol):
    """How many exemplars of a class are kept."""

    @property
    def shrinks(self) -> bool:
        """Whether old classes keep fewer as classes are added."""

    def count(self, ranked: Tensor, seen: int) -> int:
        """Of images (n, H, W, 3) uint8 of a class, the best first, when ``seen`` classes share."""


@dataclass(frozen=True)
class FixedPerClass:
    """A fixed number of each class, however many classes there are."""

    each: int
    shrinks: ClassVar[bool] = False

    def count(self, ranked: Tensor, seen: int) -> int:
        return min(self.each, len(ranked))


@dataclass(frozen=True)
class FixedTotal:
    """A fixed number in all, shared equally by the classes seen so far (Rebuffi et al. 2017)."""

    total: int
    shrinks: ClassVar[bool] = True

    def count(self, ranked: Tensor, seen: int) -> int:
        if self.total < seen:
            raise OptionError(
                f"a memory of {self.total} exemplars leaves none for some of the {seen} classes "
                f"seen; expected {seen} at least: keep more"
            )
        return min(self.total // seen, len(ranked))


@dataclass(frozen=True)
class BytesPerClass:
    """As many of each class as fit into a share of ``size`` bytes, and one at least."""

    size: float
    sample: int  # images from which the first guess at their number is made
    shrinks: ClassVar[bool] = False

    def count(self, ranked: Tensor, seen: int) -> int:
        sample = min(self.sample, len(ranked))
        guess = self.size * sample / packed_bytes(ranked[:sample])
        count = min(len(ranked), int(guess * 1.1) + 1)
        while (size := packed_bytes(ranked[:count])) > self.size and count > 1:
            count = max(1, min(count - 1, int(self.size * count / size)))
        return count


def policy_of(context: PhaseContext, fixed_bytes: int) -> Policy:
    """A number of exemplars a class, or with a budget the class's share of what ``fixed_bytes``
    leave of it."""
    each = context.exemplars_per_class
    if context.budget_bytes is None:
        return FixedPerClass(each)
    return BytesPerClass((context.budget_bytes - fixed_bytes) / context.classes, sample=each)


def exemplars_of(context: PhaseContext, classes: Sequence[int], fixed_bytes: int) -> int:
    """How many exemplars of ``classes`` are kept, as `policy_of` has it.

    With a budget this is an estimate, by the bytes of the images of one new class. Needs 'raw_new'.
    """
    each = context.exemplars_per_class
    if classes and context.budget_bytes is not None:
        images, _ = context.raw(context.new[:1])
        each = policy_of(context, fixed_bytes).count(images, len(context.seen))
    return context.count(classes, each)


class Exemplars:
    """Raw images of the classes seen, in class order, each class's best first.

    What is over a policy's number is dropped from the end, so the best remain.
    """

    def __init__(self) -> None:
        self.kept: list[Tensor] = []  # (n, H, W, 3) uint8 of each class, in class order
        self.kept_bytes: list[int] = []  # of each class

    def __len__(self) -> int:
        return sum(map(len, self.kept))

    @property
    def nbytes(self) -> int:
        """What they take, packed without loss as a memory packs its own raw exemplars."""
        return sum(self.kept_bytes)

    def add(self, ranked: Sequence[Tensor], policy: Policy) -> None:
        """Keep exemplars of new classes, whose images (n, H, W, 3) uint8 are ranked, best first.

        Under a total that classes share, those of old classes become fewer. Classes that come in
        one phase are added in one call.
        """
        seen = len(self.kept) + len(ranked)
        for label, images in enumerate(self.kept if policy.shrinks else []):
            count = policy.count(images, seen)
            if count < len(images):
                self.replace(label, images[:count])
        for images in ranked:
            chosen = images[: policy.count(images, seen)].clone()
            self.kept.append(chosen)
            self.kept_bytes.append(packed_bytes(chosen))

    def add_herded(self, context: PhaseContext, network: Network, policy: Policy) -> None:
        """Keep exemplars of the classes that are new in a phase, herded by a network's features."""
        self.add([context.herded(network, label) for label in context.new], policy)

    def replace(self, label: int, images: Tensor) -> None:
        """Put other images (n, H, W, 3) uint8 in the place of a class's exemplars, best first."""
        self.kept[label], self.kept_bytes[label] = images.clone(), packed_bytes(images)

    def labelled(self) -> tuple[Tensor, Tensor]:
        """All images (N, H, W, 3) uint8 and labels (N,) int64, class by class."""
        if not self.kept:
            return torch.empty(0, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
        labels = [torch.full((len(images),), label) for label, images in enumerate(self.kept)]
        return torch.cat(self.kept), torch.cat(labels)

    def before(self, images: Tensor, labels: Tensor, times: int = 1) -> tuple[Tensor, Tensor]:
        """All of them with their labels, ``times`` over, and then ``images`` and ``labels``."""
        if not self.kept:
            return images, labels
        kept, of_kept = self.labelled()
        return torch.cat([*times * [kept], images]), torch.cat([*times * [of_kept], labels])

    def state_dict(self) -> State:
        return {"kept": self.kept, "kept_bytes": self.kept_bytes}

    def load_state_dict(self, state: State) -> None:
        self.kept, self.kept_bytes = list(state["kept"]), list(state["kept_bytes"])


def ranked(context: PhaseContext, label: int) -> Tensor:
    """The raw images (n, H, W, 3) uint8 of a class that is new, the best exemplars first by what
    the codec knows of them. Needs 'raw_new' and 'ranked'."""
    images, _ = context.raw([label])
    return images[torch.from_numpy(context.ranking(label))]


def least_bytes(context: PhaseContext, label: int) -> float:
    """What an image of a class that is new takes, which is the least that can be kept of it.

    Which one will be kept, the network of the phase decides. Needs 'raw_new'.
    """
    return float(packed_bytes(context.raw([label])[0][:1]))


def packed_bytes(images: Tensor) -> int:
    """What images (n, H, W, 3) take as records of raw exemplars."""
    return sum(len(record.data) for record in raw.pack(0, range(len(images)), images.numpy()))
