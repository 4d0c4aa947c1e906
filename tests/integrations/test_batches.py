"""Shares of memory and new images, as properties of any sizes: arithmetic, without any pixel."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drrpack.integrations.batches import Draws, Group, ReplayBatches

SHARES = st.fractions(Fraction(1, 50), Fraction(49, 50), max_denominator=200)
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def groups(sizes: list[int], first: int, weights: list[int] | None = None) -> list[Group]:
    """Groups of these sizes, whose images count on from ``first``."""
    ends = first + np.cumsum(sizes)
    wanted = sizes if weights is None else weights
    return [
        Group(np.arange(end - size, end), Fraction(weight))
        for size, end, weight in zip(sizes, ends.tolist(), wanted, strict=True)
    ]


def batches(
    new: list[int], old: list[int], share: Fraction, size: int, *, seed: int = 0, drop: bool = False
) -> ReplayBatches:
    first = sum(new)
    return ReplayBatches(
        groups(old, first), groups(new, 0), share=share, batch_size=size, seed=seed, drop_last=drop
    )


@settings(deadline=None, max_examples=150)
@given(SIZES, SIZES, SHARES, st.integers(1, 64), st.integers(0, 5))
def test_shares_hold_and_new_images_come_once(
    new: list[int], old: list[int], share: Fraction, size: int, seed: int
) -> None:
    loader = batches(new, old, share, size, seed=seed)
    first, found = sum(new), [*loader]
    assert len(found) == len(loader)
    assert all(len(batch) == size for batch in found[:-1]) and 0 < len(found[-1]) <= size
    for batch in found:
        memory = sum(number >= first for number in batch)
        assert abs(memory - share * len(batch)) <= 1
        if memory <= sum(old):
            # as often as its group is drawn, and twice only where the group is too small for that
            times = Counter(number for number in batch if number >= first)
            small = max(1, -(-memory // min(old)))
            assert max(times.values(), default=0) <= small
    shown = Counter(number for batch in found for number in batch)
    assert [shown[number] for number in range(first)] == [1] * first
    assert abs(sum(map(len, found)) - first / (1 - share)) <= 0.5


@settings(deadline=None, max_examples=100)
@given(SIZES, st.integers(1, 40), SHARES, st.integers(1, 64))
def test_memory_of_one_group_is_not_repeated_before_all_was_seen(
    new: list[int], old: int, share: Fraction, size: int
) -> None:
    first = sum(new)
    found = [*batches(new, [old], share, size)]
    shown = Counter(number for batch in found for number in batch if number >= first)
    times = [shown[number] for number in range(first, first + old)]
    assert max(times) - min(times) <= 1
    for batch in found:
        memory = [number for number in batch if number >= first]
        assert len(memory) > old or len(set(memory)) == len(memory)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 9), st.integers(5, 12), st.lists(st.integers(1, 40), min_size=1, max_size=9))
def test_groups_of_one_weight_differ_by_one_in_every_call(
    count: int, size: int, counts: list[int]
) -> None:
    drawn = Draws(groups([size] * count, 0), np.random.default_rng(0), once=False)
    whole = np.zeros(count, int)
    for number in counts:
        found = np.bincount(drawn.take(number) // size, minlength=count)
        assert found.sum() == number and np.ptp(found) <= 1
        whole += found
    assert np.ptp(whole) <= 2  # and over all calls together, as what is behind comes first


def test_weights_hold_in_the_long_run() -> None:
    """Weights 1, 2 and 3 over 600 draws by hand: 100, 200 and 300."""
    drawn = Draws(groups([50, 50, 50], 0, [1, 2, 3]), np.random.default_rng(0), once=False)
    found = np.bincount(np.concatenate([drawn.take(7) for _ in range(86)])[:600] // 50)
    assert found == pytest.approx([100, 200, 300], abs=2)


def test_each_epoch_has_an_order_of_its_own() -> None:
    one, other = (batches([20], [20], Fraction(1, 2), 8, seed=3) for _ in range(2))
    first, second = [*one], [*one]
    assert [*other] == first != second
    other.set_epoch(1)
    assert [*other] == second
    assert [*batches([20], [20], Fraction(1, 2), 8, seed=4)] != first


def test_a_last_batch_may_be_left_out() -> None:
    """20 new images in halves make 40: 5 batches of 8, or 4 of 9 and one of 4."""
    assert [len(b) for b in batches([20], [5], Fraction(1, 2), 8, drop=True)] == [8] * 5
    assert [len(b) for b in batches([20], [5], Fraction(1, 2), 9)] == [9, 9, 9, 9, 4]
    assert [len(b) for b in batches([20], [5], Fraction(1, 2), 9, drop=True)] == [9] * 4
    assert len(batches([20], [5], Fraction(1, 2), 9, drop=True)) == 4
