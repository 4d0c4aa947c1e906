"""The first of several processes does for all what only one can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from drrpack.trainers.ranks import Ranks

T = TypeVar("T")


@pytest.mark.parametrize(
    ("rank", "expected"),
    [(0, ["locked", "all are here", "work", "free"]), (1, ["all are here", "work"])],
)
def test_the_first_holds_a_lock_before_any_begins(rank: int, expected: list[str]) -> None:
    done = list[str]()

    class Watched(Ranks):
        def of_all(self, mine: T) -> list[T]:
            done.append("all are here")
            return [mine] * self.size

    @contextmanager
    def lock() -> Iterator[None]:
        done.append("locked")
        yield
        done.append("free")

    with Watched(rank, 2).holding(lock()):
        done.append("work")
    assert done == expected
