"""Batches of memory and new images in fixed shares: the numbers of the images, no pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Images that stand for each other, such as those of a class, and how often they are wanted.

    Attributes:
        items: the numbers of the images, (n,).
        weight: the share of the draws that falls to this group, relative to the other groups.
    """

    items: Numbers
    weight: Fraction


class Draws:
    """Draws from several groups, so that every call respects their weights to within one image.

    A group is gone through in random order before one of its images comes again, and a call has no
    image twice as long as its groups are large enough.

    Args:
        groups: what is drawn from. random: the source of the order.
        once: whether each image may be drawn only once.
    """

    def __init__(self, groups: Sequence[Group], random: np.random.Generator, *, once: bool) -> None:
        self._groups, self._random, self._once = groups, random, once
        self._waiting = [random.permutation(group.items) for group in groups]
        weights = np.array([float(group.weight) for group in groups])
        self._shares = weights / weights.sum()
        self._owed = np.zeros(len(groups))

    def take(self, count: int) -> Numbers:
        """The next images (count,)."""
        counts = self._counts(count)
        found = [self._next(group, many) for group, many in enumerate(counts.tolist()) if many]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _counts(self, count: int) -> Numbers:
        """How many images of each group: the whole part of its share, and one more where it is most
        behind."""
        self._owed += count * self._shares
        counts: Numbers = np.floor(count * self._shares + 1e-9).astype(np.int64)
        limits = np.full(len(counts), count, np.int64)
        if self._once:
            limits = np.array([len(waiting) for waiting in self._waiting], np.int64)
        counts = np.minimum(counts, limits)
        tie_break = self._random.permutation(len(counts))
        while counts.sum() < count:
            open_groups = np.flatnonzero(counts < limits)
            behind = np.round((self._owed - counts)[open_groups], 9)
            order = np.lexsort((tie_break[open_groups], -behind))
            counts[open_groups[order[: count - counts.sum()]]] += 1
        self._owed -= counts
        return counts

    def _next(self, group: int, count: int) -> Numbers:
        found = [self._waiting[group][:count]]
        self._waiting[group] = self._waiting[group][count:]
        while (lacking := count - sum(map(len, found))) > 0:
            again = self._random.permutation(self._groups[group].items)
            # what this call has already comes last, so that it is not in the batch twice
            again = again[np.argsort(np.isin(again, np.concatenate(found)), kind="stable")]
            found.append(again[:lacking])
            self._waiting[group] = again[lacking:]
        return np.concatenate(found)


class ReplayBatches(Sampler[list[int]]):
    """The batches of an epoch: every new image once, and memory beside it in its share.

    The batches up to any point together have the share of memory to within half an image, so each
    batch has it to within one. Each new iteration is the next epoch, with an order of its own.

    Args:
        memory, new: the groups of both kinds. share: how much of a batch memory is, over 0 and
            below 1. batch_size: images in a batch. seed: of all orders.
        drop_last: whether a last batch that is not full is left out, and its new images with it.
    """

    def __init__(
        self,
        memory: Sequence[Group],
        new: Sequence[Group],
        *,
        share: Fraction,
        batch_size: int,
        seed: int,
        drop_last: bool,
    ) -> None:
        self.memory, self.new, self.share = memory, new, share
        self.batch_size, self.seed, self.drop_last = batch_size, seed, drop_last
        self.epoch = 0
        fresh = sum(len(group.items) for group in new)
        self.images = round(fresh / (1 - share))  # of an epoch; see _of_memory

    def __len__(self) -> int:
        whole, rest = divmod(self.images, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of an epoch, counted from 0, as when a run is resumed."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        memory = Draws(self.memory, random, once=False)
        new = Draws(self.new, random, once=True)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            end = min(start + self.batch_size, self.images)
            old = self._of_memory(end) - self._of_memory(start)
            batch = np.concatenate([memory.take(old), new.take(end - start - old)])
            yield random.permutation(batch).tolist()

    def _of_memory(self, images: int) -> int:
        """How many of the first images of an epoch are memory: the share, rounded.

        The rest of all images of an epoch is the number of new ones: with N of these, an epoch has
        N / (1 - share) images to within one half, of which N to within one half are new.
        """
        return int(images * self.share + Fraction(1, 2))
