"""Messages of one stream are those of craystack: each pops what the other has pushed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drrpack.core import ans
from drrpack.core.arrays import U64

# craystack's wheel lacks its subpackage, and then importing it fails in other ways than "not found"
rans = pytest.importorskip("craystack.rans", exc_type=ImportError)

Steps = list[tuple[U64, U64, int]]


def steps_of(seed: int, lanes: int, count: int = 200) -> Steps:
    """Intervals (lanes,) of random lengths at random precisions."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        precision = int(rng.integers(1, 28))
        length = 1 + rng.integers(0, 1 << precision, lanes) // rng.integers(1, 50, lanes)
        start = (rng.random(lanes) * ((1 << precision) - length)).astype(np.uint64)
        out.append((start, length.astype(np.uint64), precision))
    return out


def push_ours(steps: Steps, lanes: int) -> NDArray[np.uint32]:
    message = ans.empty(1, lanes)
    for start, length, precision in steps:
        message = ans.push(message, start[None], length[None], precision)
    return ans.flatten(message)[0]


def push_theirs(steps: Steps, lanes: int) -> NDArray[np.uint32]:
    message: Any = rans.base_message((lanes,))
    for start, length, precision in steps:
        message = rans.push(message, start, length, precision)
    words: NDArray[np.uint32] = rans.flatten(message)
    return words


@pytest.mark.parametrize("lanes", [1, 2, 7, 64])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_words_are_equal(lanes: int, seed: int) -> None:
    steps = steps_of(seed, lanes)
    np.testing.assert_array_equal(push_ours(steps, lanes), push_theirs(steps, lanes))


@pytest.mark.parametrize("lanes", [1, 2, 7, 64])
def test_craystack_pops_what_we_pushed(lanes: int) -> None:
    steps = steps_of(2, lanes)
    message = rans.unflatten(push_ours(steps, lanes), (lanes,))
    for start, length, precision in reversed(steps):
        point, drop = rans.pop(message, precision)
        assert ((start <= point) & (point < start + length)).all()
        message = drop(start, length)
    assert (message[0] == 1 << 31).all()


@pytest.mark.parametrize("lanes", [1, 2, 7, 64])
def test_we_pop_what_craystack_pushed(lanes: int) -> None:
    steps = steps_of(3, lanes)
    message = ans.unflatten([push_theirs(steps, lanes)], lanes)
    for start, length, precision in reversed(steps):
        point = ans.peek(message, lanes, precision)
        assert ((start <= point) & (point < start + length)).all()
        message = ans.drop(message, start[None], length[None], precision)
    assert (message.head == ans.HEAD_MIN).all()
    assert not message.tail_words.any()
