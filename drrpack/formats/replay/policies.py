"""Which images a memory of limited size keeps of a stream: one class for each policy."""

from __future__ import annotations

import operator
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from drrpack.core.errors import OptionError
from drrpack.core.wording import shortened


@dataclass(frozen=True)
class Arrival:
    """A memory to which one image has just been added, and what a policy may know of it.

    Classes are numbered from 0 in the order in which the stream brought them. Images have
    positions, counted class by class, in each class from the oldest to the newest. The new image
    has a position like all others.
    """

    images: NDArray[np.int64]  # of each class in the memory, the new one included: (classes,)
    seen: NDArray[np.int64]  # of each class in the stream, the new one included: (classes,)
    label: int  # the class of the new image
    capacity: int  # how many images fit, at least 1

    @property
    def excess(self) -> int:
        """How many images have to leave at least; more than one where a new class takes room."""
        return max(0, int(self.images.sum()) - self.capacity)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """For each class one more than the position of its newest image."""
        ends: NDArray[np.int64] = np.cumsum(self.images)
        return ends

    @property
    def newest(self) -> int:
        """The position of the new image."""
        return int(self.ends[self.label]) - 1

    def of_class(self, number: int) -> range:
        """The positions of the images of a class, the oldest first."""
        end = int(self.ends[number])
        return range(end - int(self.images[number]), end)


class Policy(Protocol):
    """Decides with each image of a stream which images leave the memory.

    A policy has no state of its own: all that it needs to know is in the `Arrival`.
    """

    @property
    def name(self) -> str:
        """What a saved memory calls the policy."""

    def leaving(self, arrival: Arrival, random: np.random.Generator) -> Collection[int]:
        """The positions of the images that leave, ``arrival.excess`` of them or more.

        The new image may be among them. Use no other randomness than ``random``.
        """


class Reservoir:
    """A uniform sample of the stream: each image seen so far is kept with the same probability
    (Vitter 1985, algorithm R)."""

    name: ClassVar[str] = "reservoir"

    def leaving(self, arrival: Arrival, random: np.random.Generator) -> Collection[int]:
        excess, newest = arrival.excess, arrival.newest
        if not excess:
            return ()
        stays = random.integers(arrival.seen.sum()) < arrival.capacity
        others = int(arrival.images.sum()) - 1
        drawn = random.choice(others, excess if stays else excess - 1, replace=False)
        gone = [int(place) + int(place >= newest) for place in drawn]
        return gone if stays else [*gone, newest]


class ClassBalanced:
    """Equal numbers of all classes as far as the stream has them, in each class a uniform sample
    (CBRS, Chrysakis and Moens 2020).

    An image of the largest class, or of one that has lost images before, takes its chance against
    those of its own class. Any other image replaces one of the largest class.
    """

    name: ClassVar[str] = "class-balanced"

    def leaving(self, arrival: Arrival, random: np.random.Generator) -> Collection[int]:
        images, label = arrival.images.copy(), arrival.label
        images[label] -= 1
        old = int(images[label])
        gone = list[int]()
        for _ in range(arrival.excess):
            lost = arrival.seen[label] - 1 > old
            if not gone and (lost or images[label] == images.max()):
                if random.integers(arrival.seen[label]) >= old:
                    gone.append(arrival.newest)
                    continue
                largest = label
            else:
                largest = int(random.choice(np.flatnonzero(images == images.max())))
            there = arrival.of_class(largest)
            place = there.start + int(random.integers(images[largest]))
            for taken in sorted(one for one in (*gone, arrival.newest) if one in there):
                place += place >= taken  # it counts those that are left
            gone.append(place)
            images[largest] -= 1
        return gone


class Ring:
    """The newest images of each class, an equal share for every class seen so far (the ring buffer
    of Lopez-Paz and Ranzato 2017, and Chaudhry et al. 2019)."""

    name: ClassVar[str] = "ring"

    def leaving(self, arrival: Arrival, random: np.random.Generator) -> Collection[int]:
        images = arrival.images.copy()
        share = max(1, arrival.capacity // len(images))
        kept = np.minimum(images, share)
        while kept.sum() > arrival.capacity:  # more classes than images that fit
            kept[np.argmax(kept)] -= 1
        gone = images - kept
        return [
            place for number in np.flatnonzero(gone)
            for place in arrival.of_class(int(number))[: gone[number]]
        ]  # fmt: skip


POLICIES: dict[str, Policy] = {one.name: one for one in (Reservoir(), ClassBalanced(), Ring())}


def policy_of(given: str | Policy) -> Policy:
    """The policy of a name, or the one that is given; raises OptionError for anything else."""
    if isinstance(given, str) and given in POLICIES:
        return POLICIES[given]
    if not isinstance(given, str | type) and callable(getattr(given, "leaving", None)):
        return given
    raise OptionError(
        f"`policy`: found {shortened(given)}, expected one of {', '.join(map(repr, POLICIES))}, or "
        "an object with the methods of drrpack.formats.replay.policies.Policy",
        option="policy",
    )


def checked(gone: Collection[int], arrival: Arrival) -> Sequence[int]:
    """The positions that a policy gave, in order; raises ValueError where they break its rules."""
    found = sorted({operator.index(place) for place in gone})
    total = int(arrival.images.sum())
    if len(found) != len(gone) or (found and not 0 <= found[0] <= found[-1] < total):
        raise ValueError(f"positions {shortened(gone)}, expected different ones below {total}")
    if len(found) < arrival.excess:
        raise ValueError(f"{len(found)} images that leave, expected {arrival.excess} at least")
    return found
