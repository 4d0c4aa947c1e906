"""Values in memory up to a bound, against a plain list of what was used when."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drrpack.formats.recently_used import RecentlyUsed

USES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.booleans()), max_size=40)


@given(USES, st.one_of(st.none(), st.integers(0, 100)))
def test_those_used_longest_ago_go(uses: list[tuple[int, int, bool]], bound: int | None) -> None:
    kept = RecentlyUsed[np.ndarray](bound)
    plain: list[tuple[int, int]] = []  # number and size, that used longest ago first
    for number, size, new in uses:
        there = [one for one in plain if one[0] == number]
        if new:
            kept.put(number, np.full(size, number, np.uint8))
            plain = [one for one in plain if one[0] != number] + [(number, size)]
            while len(plain) > 1 and bound is not None and sum(s for _, s in plain) > bound:
                plain.pop(0)
        else:
            found = kept.get(number)
            assert (found is None) == (not there)
            assert found is None or found.tolist() == [number] * there[0][1]
            plain = [one for one in plain if one[0] != number] + there
        assert [len(value) for value in kept.values()] == [size for _, size in plain]
        assert [n for n in range(6) if n in kept] == sorted(number for number, _ in plain)
        assert kept.nbytes == sum(size for _, size in plain) and len(kept) == len(plain)


def test_room_is_made_before_what_needs_it() -> None:
    kept = RecentlyUsed[np.ndarray](100)
    for number in range(4):
        kept.put(number, np.zeros(25, np.uint8))
    kept.get(0)
    kept.make_room(50)
    assert [number for number in range(4) if number in kept] == [0, 3]
    kept.make_room(1000)
    assert len(kept) == kept.nbytes == 0 and kept.fits(100) and not kept.fits(101)


def test_a_copy_for_another_process_has_its_own() -> None:
    kept = RecentlyUsed[np.ndarray](100)
    kept.put(7, np.arange(60, dtype=np.uint8))
    again: RecentlyUsed[np.ndarray] = pickle.loads(pickle.dumps(kept))
    again.put(8, np.zeros(50, np.uint8))
    assert 7 not in again and 7 in kept and (again.nbytes, kept.nbytes) == (50, 60)
