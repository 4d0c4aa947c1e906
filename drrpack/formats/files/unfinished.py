"""A list of what to undo if the process ends suddenly: a half-written file, a hidden cursor.

This module imports nothing, so that it is ready before all others.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable

_undo: dict[int, Callable[[], object]] = {}


class undone_by:
    """A context in which `undo_all` calls ``undo``, at any moment and possibly twice.

    It does not replace cleaning up after an exception.
    """

    def __init__(self, undo: Callable[[], object]) -> None:
        self._undo = undo

    def __enter__(self) -> None:
        _undo[id(self)] = self._undo

    def __exit__(self, *_: object) -> None:
        _undo.pop(id(self), None)


def undo_all() -> None:
    """Undo what is unfinished in this process, the latest first; raises nothing."""
    for undo in reversed(list(_undo.values())):
        try:
            undo()
        except Exception:  # the others must be undone all the same
            continue
