"""Results of a slow function: those that were used last stay in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from drrpack.formats.recently_used import RecentlyUsed, Sized

Made = TypeVar("Made", bound=Sized)


class Recent(Generic[Made]):
    """``make``, by number. Results stay until they take more than ``budget_bytes`` together; then
    the one that was used longest ago goes, and the newest always stays.

    Threads may share it: one makes at a time, and nobody waits for what is there already.
    """

    def __init__(self, make: Callable[[int], Made], budget_bytes: int) -> None:
        self._make, self._kept = make, RecentlyUsed[Made](budget_bytes)
        self._looking, self._making = threading.Lock(), threading.Lock()

    def __call__(self, number: int) -> Made:
        found = self._find(number)
        if found is not None:
            return found
        with self._making:
            found = self._find(number)  # another thread may have made it meanwhile
            if found is None:
                found = self._make(number)
                self._keep(number, found)
            return found

    def _find(self, number: int) -> Made | None:
        with self._looking:
            return self._kept.get(number)

    def _keep(self, number: int, made: Made) -> None:
        with self._looking:
            self._kept.put(number, made)
