"""Accuracies and forgetting, from counts of right and wrong answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Counts = Sequence[Sequence[int]]  # test images by class (rows) and by the class they are taken for


@dataclass(frozen=True)
class Accuracies:
    """After one phase, in percent of test images."""

    accuracy: float
    class_accuracy: list[float]  # of each class, in class order
    group_accuracy: list[float]  # of the classes that each phase added


class Tested(Protocol):
    """A phase after its test, in percent of test images."""

    @property
    def accuracy(self) -> float: ...

    @property
    def group_accuracy(self) -> Sequence[float]:
        """Of the classes that each phase so far added."""


@dataclass(frozen=True)
class Newest:
    """How the classes that a phase added fare among all, in percent of test images.

    A network that told new classes as often as they occur would have ``new_class_answers`` and
    ``new_class_images`` equal.
    """

    new_class_accuracy: float  # of their own images
    new_class_answers: float  # of all images, those that are taken for one of them
    new_class_images: float  # of all images, those that are of one of them


@dataclass(frozen=True)
class Averages:
    """The four figures of a run, in percent; None where the phases do not define them."""

    average_accuracy: float | None  # without phase 0, as in the paper (section 6.2)
    average_accuracy_with_base: float | None
    last_accuracy: float
    forgetting: float | None


METRICS = ("average_accuracy", "average_accuracy_with_base", "last_accuracy", "forgetting")


def accuracies(confusion: Counts, groups: Sequence[int]) -> Accuracies:
    """Of all test images, of each class, and of the classes that each phase added.

    ``groups`` holds how many classes each phase so far added, in class order.
    """
    counts = np.array(confusion)
    correct, tested = np.diag(counts), counts.sum(1)
    ends = np.cumsum(groups)[:-1]
    pairs = zip(np.split(correct, ends), np.split(tested, ends), strict=True)
    return Accuracies(
        accuracy=100 * float(correct.sum() / tested.sum()),
        class_accuracy=[100 * float(share) for share in correct / tested],
        group_accuracy=[100 * float(right.sum() / all_.sum()) for right, all_ in pairs],
    )


def newest(confusion: Counts, new: int) -> Newest:
    """How the last ``new`` classes fare among all."""
    counts = np.array(confusion)
    old = len(counts) - new
    own = counts[old:].sum()
    return Newest(
        new_class_accuracy=100 * float(np.diag(counts)[old:].sum() / own),
        new_class_answers=100 * float(counts[:, old:].sum() / counts.sum()),
        new_class_images=100 * float(own / counts.sum()),
    )


def summarise(phases: Sequence[Tested]) -> Averages:
    """The four figures of a run of these phases."""
    values = [float(phase.accuracy) for phase in phases]
    return Averages(
        average_accuracy=mean(values[1:]),
        average_accuracy_with_base=mean(values),
        last_accuracy=values[-1],
        forgetting=forgetting([phase.group_accuracy for phase in phases]),
    )


def forgetting(group_accuracy: Sequence[Sequence[float]]) -> float | None:
    """How far the classes of each earlier phase fell from their best (Chaudhry et al. 2018, eq. 3).

    ``group_accuracy[k][j]`` is the accuracy after phase k on the classes that phase j <= k
    added. Negative where old classes became better. None with a single phase.
    """
    *earlier, last = group_accuracy
    falls = [
        max(row[j] for row in earlier[j:]) - last[j]  # row k holds the groups 0..k
        for j in range(len(earlier))
    ]
    return mean(falls)


def mean(values: Sequence[float]) -> float | None:
    """None where there is nothing to average."""
    return sum(values) / len(values) if values else None
