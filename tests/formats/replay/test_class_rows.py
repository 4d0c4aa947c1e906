"""Rows of a class in blocks: against lists, and what a change of a large class takes."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drrpack.formats.replay import class_rows
from drrpack.formats.replay.class_rows import ClassRows
from drrpack.formats.replay.content import Content
from drrpack.formats.replay.policies import POLICIES, Arrival, ClassBalanced

ROW, MANY = 90, 30_000  # bytes of an image of 32x32; 2.7 MB of them


@pytest.mark.parametrize("name", sorted(POLICIES))
@pytest.mark.parametrize("full", [False, True])
def test_an_image_takes_no_copy_of_its_class(name: str, full: bool) -> None:
    content, random = Content(ROW), np.random.default_rng(0)
    content.put(7, np.zeros((MANY, ROW), np.uint8), MANY)
    budget, row = content.bytes + (0 if full else 1000 * ROW), np.zeros(ROW, np.uint8)
    content.offer(7, row, POLICIES[name], budget, random)  # numpy imports parts of itself
    tracemalloc.start()
    try:
        for _ in range(20):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            content.offer(7, row, POLICIES[name], budget, random)
            assert tracemalloc.get_traced_memory()[1] - before < 200_000
    finally:
        tracemalloc.stop()
    assert len(content) == MANY + (0 if full else 21)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 30),
    st.lists(st.one_of(st.just("add"), st.sets(st.integers(0, 99), max_size=9)), max_size=40),
)
def test_rows_against_lists(count: int, changes: list[str | set[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_rows, "BLOCK", 4)
        naive = [[number, 1] for number in range(count)]
        given_rows = np.array(naive, np.uint8).reshape(-1, 2)
        rows = ClassRows.of(given_rows)
        given_rows[:] = 255  # of the caller, who may write to it
        every = [(rows, [*naive])]
        for number, change in enumerate(changes):
            if isinstance(change, str):
                naive = [*naive, [number, 2]]
                rows = rows.with_row(np.array(naive[-1], np.uint8))
            else:
                gone = sorted(place for place in change if place < len(naive))
                naive = [row for place, row in enumerate(naive) if place not in gone]
                rows = rows.without(np.array(gone, np.int64))
            every.append((rows, naive))
        for made, expected in every:  # those of before as well
            assert len(made) == len(expected) and made.nbytes == 2 * len(expected)
            assert made.whole().tolist() == [row.tolist() for row in made] == expected
            places = np.random.default_rng(0).integers(0, max(1, len(made)), len(made) * 2)
            assert made.at(places).tolist() == [expected[place] for place in places]
            sizes = [len(block) for block in made._blocks]
            assert all(0 < size <= 4 for size in sizes)
    assert class_rows.BLOCK == 256


def test_blocks_of_a_class_that_loses_images_are_few() -> None:
    rows, random = ClassRows.of(np.zeros((2_000, 1), np.uint8)), np.random.default_rng(0)
    for _ in range(8_000):
        rows = rows.with_row(np.zeros(1, np.uint8)).without(random.integers(0, 2_001, 1))
    assert len(rows) == 2_000
    assert all(len(a) + len(b) > 256 for a, b in pairwise(rows._blocks[:-1]))
    assert len(rows._blocks) < 2 * 2_000 / 256 + 2


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 3), st.integers(1, 20))
def test_balance_draws_as_from_a_list(images: list[int], label: int, capacity: int) -> None:
    """The places that are left, listed one by one: what was drawn before by a seed is drawn now."""
    counts, label = np.array(images), label % len(images)
    arrival = Arrival(counts, counts, label, min(capacity, int(counts.sum())))
    listed, random = list[int](), np.random.default_rng(5)
    left = counts.copy()
    left[label] -= 1
    for _ in range(arrival.excess):
        if not listed and left[label] == left.max():
            if random.integers(counts[label]) >= left[label]:
                listed.append(arrival.newest)
                continue
            largest = label
        else:
            largest = int(random.choice(np.flatnonzero(left == left.max())))
        free = set(arrival.of_class(largest)) - {*listed, arrival.newest}
        listed.append(int(random.choice(sorted(free))))
        left[largest] -= 1
    assert ClassBalanced().leaving(arrival, np.random.default_rng(5)) == listed
