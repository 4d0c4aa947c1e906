"""What was used last, kept in memory up to a bound of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What says how many bytes it takes, as an array does."""

    @property
    def nbytes(self) -> int: ...


Value = TypeVar("Value", bound=Sized)


class RecentlyUsed(Generic[Value]):
    """Values by number. Those that were used longest ago go where the bound has no room for a new
    one, which stays in any case.

    Threads need a lock around it, but for ``in``.

    Args:
        budget_bytes: what all values may take; None for no bound.

    Attributes:
        nbytes: what they take.
    """

    def __init__(self, budget_bytes: int | None) -> None:
        self.budget_bytes, self.nbytes = budget_bytes, 0
        self._kept: OrderedDict[int, Value] = OrderedDict()  # that used longest ago first

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, number: object) -> bool:
        return number in self._kept

    def values(self) -> Iterator[Value]:
        """All of them, that used longest ago first; this is no use."""
        return iter(self._kept.values())

    def get(self, number: int) -> Value | None:
        """The value of this number, which is used now; None if it is not there."""
        if number in self._kept:
            self._kept.move_to_end(number)
        return self._kept.get(number)

    def put(self, number: int, value: Value) -> None:
        """Keep a value, in the place of one of the same number and of others as need be."""
        old = self._kept.pop(number, None)
        self.nbytes -= 0 if old is None else old.nbytes
        self.make_room(value.nbytes)
        self._kept[number] = value
        self.nbytes += value.nbytes

    def make_room(self, size: int) -> None:
        """Let go what has no room beside ``size`` more bytes."""
        while self._kept and not self.fits(self.nbytes + size):
            self.nbytes -= self._kept.popitem(last=False)[1].nbytes

    def fits(self, size: int) -> bool:
        """Whether so many bytes are within the bound."""
        return self.budget_bytes is None or size <= self.budget_bytes

    def __getstate__(self) -> dict[str, object]:
        kept = self._kept.copy()  # as a whole: another thread may go on
        return {**self.__dict__, "_kept": kept, "nbytes": sum(v.nbytes for v in kept.values())}
