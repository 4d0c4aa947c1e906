"""Streams of unequal length move together as long as they can."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from drrpack.core import ans
from drrpack.core.ans import Message

Step = Callable[[Message, int, NDArray[np.intp]], Message]


def climb(message: Message, counts: NDArray[np.intp], step: Step) -> Message:
    """Apply ``step`` at 0, 1, ... to the streams that have that many steps, as encoding does."""
    order = np.argsort(-counts, kind="stable")
    active, done = ans.take(message, order), ans.take(message, order[:0])
    for index in range(int(counts.max(initial=0))):
        rows = order[: int((counts > index).sum())]
        if len(rows) < active.streams:
            done = ans.join(ans.take(active, np.arange(len(rows), active.streams)), done)
            active = ans.take(active, np.arange(len(rows)))
        active = step(active, index, rows)
    return ans.take(ans.join(active, done), np.argsort(order))


def descend(message: Message, counts: NDArray[np.intp], step: Step) -> Message:
    """Apply ``step`` at ..., 1, 0, as decoding does: the mirror of `climb`."""
    order = np.argsort(-counts, kind="stable")
    waiting = ans.take(message, order)
    active = ans.take(waiting, order[:0])
    for index in range(int(counts.max(initial=0)) - 1, -1, -1):
        rows = order[: int((counts > index).sum())]
        if len(rows) > active.streams:
            active = ans.join(active, ans.take(waiting, np.arange(active.streams, len(rows))))
        active = step(active, index, rows)
    rest = ans.take(waiting, np.arange(active.streams, len(order)))
    return ans.take(ans.join(active, rest), np.argsort(order))
