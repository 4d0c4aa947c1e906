"""Divide work into groups of about one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def groups(sizes: Iterable[int], full: int) -> Iterator[list[int]]:
    """Positions in ``sizes``, in their order; a group ends when its sizes add up to ``full``."""
    group, total = list[int](), 0
    for position, size in enumerate(sizes):
        group.append(position)
        total += size
        if total >= full:
            yield group
            group, total = [], 0
    if group:
        yield group
