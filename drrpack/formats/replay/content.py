"""What a replay buffer holds: packed codes by class, and how many images of each class came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drrpack.core.errors import MethodError, OptionError
from drrpack.formats.replay.class_rows import ClassRows, split
from drrpack.formats.replay.packing import Rows
from drrpack.formats.replay.policies import Arrival, Policy, checked

# A class costs its label, the number of its images here and that of its images in the stream, as
# 64-bit integers. Images are kept class by class, so an image needs no label of its own.
CLASS_BYTES = 3 * 8


class Content:
    """Rows of packed codes, class by class in the order in which the stream brought the classes,
    in each class from the oldest to the newest image.

    Rows are replaced and never written to, so a `copy` costs next to nothing.

    Attributes:
        labels: of each class.
        rows: of each class.
        seen: how many images of each class the stream has brought.
    """

    def __init__(self, row_bytes: int) -> None:
        self.row_bytes = row_bytes
        self.labels, self.seen = list[int](), list[int]()
        self.rows = list[ClassRows]()

    def __len__(self) -> int:
        return sum(map(len, self.rows))

    @property
    def bytes(self) -> int:
        """Of all rows and of what is kept of each class."""
        return sum(rows.nbytes for rows in self.rows) + CLASS_BYTES * len(self.labels)

    def copy(self) -> Content:
        """A content that later changes of this one leave as it is."""
        made = Content(self.row_bytes)
        made.labels, made.seen, made.rows = [*self.labels], [*self.seen], [*self.rows]
        return made

    def put(self, label: int, rows: Rows, seen: int) -> None:
        """Add a class with all its rows, of which the stream has brought ``seen`` at least."""
        self.labels.append(label)
        self.rows.append(ClassRows.of(rows))
        self.seen.append(max(seen, len(rows)))

    def images(self) -> NDArray[np.int64]:
        """How many images each class has, (classes,)."""
        return np.array([len(rows) for rows in self.rows], np.int64)

    def at(self, positions: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64]]:
        """The rows (n, row_bytes) at some positions, and their labels (n,) int64."""
        number, place = self._places(positions)
        rows = np.empty((len(positions), self.row_bytes), np.uint8)
        for each in np.unique(number):
            rows[number == each] = self.rows[each].at(place[number == each])
        return rows, np.array(self.labels, np.int64)[number]

    def offer(
        self, label: int, row: Rows, policy: Policy, budget: int, random: np.random.Generator
    ) -> None:
        """Show one image of the stream to ``policy``, which keeps it or not.

        Args:
            row: (row_bytes,). budget: bytes of all content.

        Raises:
            OptionError: with a new class, not one image fits into the budget.
            MethodError: the policy broke a rule. Nothing has changed then.
        """
        number = self._number(label)
        new = number == len(self.labels)
        capacity = capacity_of(budget, len(self.labels) + new, self.row_bytes)
        images = np.append(self.images(), 0) if new else self.images()
        seen = np.array([*self.seen, 0] if new else self.seen, np.int64)
        images[number] += 1
        seen[number] += 1
        arrival = Arrival(images, seen, number, capacity)
        gone = _asked(policy, arrival, random)
        if new:
            self.put(label, np.empty((0, self.row_bytes), np.uint8), 0)
        self.seen[number] += 1
        self._change(arrival, gone, number, row)

    def offered(self, policy: Policy, budget: int, random: np.random.Generator) -> Content:
        """What a policy keeps of all these images within ``budget`` bytes; raises as `offer`.

        Classes that have no images come first: they take room all the while.
        """
        made = Content(self.row_bytes)
        for label, rows in zip(self.labels, self.rows, strict=True):
            if not len(rows):
                made.put(label, rows.whole(), 0)
        for label, rows in zip(self.labels, self.rows, strict=True):
            for row in rows:
                made.offer(label, row, policy, budget, random)
        seen = dict(zip(self.labels, self.seen, strict=True))
        made.seen = [seen[label] for label in made.labels]
        return made

    def _number(self, label: int) -> int:
        return self.labels.index(label) if label in self.labels else len(self.labels)

    def _change(self, arrival: Arrival, gone: NDArray[np.int64], number: int, row: Rows) -> None:
        """Remove what is gone, and add the row unless it is among that."""
        refused = bool((gone == arrival.newest).any())
        of, place = split(gone[gone != arrival.newest], arrival.ends)
        for each in np.unique(of):
            self.rows[each] = self.rows[each].without(place[of == each])
        if not refused:
            self.rows[number] = self.rows[number].with_row(row)

    def _places(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        return split(positions, np.cumsum(self.images()))


def capacity_of(budget: int, classes: int, row_bytes: int) -> int:
    """How many images of ``classes`` classes fit into ``budget`` bytes; raises OptionError for
    none."""
    capacity = (budget - CLASS_BYTES * classes) // row_bytes
    if capacity < 1:
        need = CLASS_BYTES * classes + row_bytes
        raise OptionError(
            f"`budget_bytes`: found room for {max(0, budget)} bytes of images, expected {need} at "
            f"least: an image takes {row_bytes}, each class seen {CLASS_BYTES}; give more",
            option="budget_bytes",
        )
    return capacity


def _asked(policy: Policy, arrival: Arrival, random: np.random.Generator) -> NDArray[np.int64]:
    try:
        return np.array(checked(policy.leaving(arrival, random), arrival), np.int64)
    except (TypeError, ValueError) as error:
        raise MethodError(f"the policy {policy!r}: found {error}; mend its `leaving`") from error
