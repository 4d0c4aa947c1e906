"""A lock for the threads of a process that survives a fork and can be pickled."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager


class ProcessLock:
    """A re-entrant lock, one for each process: another thread may hold it when this one forks.

    A copy, pickled or not, is a lock of its own, which nobody holds.
    """

    def __init__(self) -> None:
        self._locks: dict[int, AbstractContextManager[object]] = {}

    def __enter__(self) -> None:
        self._own.__enter__()

    def __exit__(self, *_: object) -> None:
        self._own.__exit__(None, None, None)

    @property
    def _own(self) -> AbstractContextManager[object]:
        return self._locks.setdefault(os.getpid(), threading.RLock())

    def __getstate__(self) -> dict[str, object]:
        return {"_locks": {}}
