"""The rANS message: it gives back what was put on it, in the words that the definition asks for."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_models import check_codec, filled_message

from drrpack.core import ans
from drrpack.core.errors import CorruptError, MessageError

Int = NDArray[np.int64]


def random_table(rng: np.random.Generator, size: int, precision: int) -> Int:
    """Frequencies of at least 1, most of them small and some large."""
    weights = rng.exponential(size=size) ** 3
    room = (1 << precision) - size
    table = 1 + np.floor(weights / weights.sum() * room).astype(np.int64)
    table[rng.integers(size)] += (1 << precision) - table.sum()
    return table


def uint64(*rows: list[int]) -> NDArray[np.uint64]:
    return np.array(rows, dtype=np.uint64)


# --- round trips ---


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_push_then_pop_restores_everything(data: st.DataObject) -> None:
    precision = data.draw(st.integers(1, 31), label="precision")
    size = data.draw(st.integers(1, min(1 << precision, 300)), label="alphabet")
    streams = data.draw(st.integers(1, 5), label="streams")
    lanes = data.draw(st.integers(1, 9), label="lanes")
    count = data.draw(st.integers(0, 40), label="symbols")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    table = random_table(rng, size, precision)
    x = rng.integers(0, size, (streams, count))
    codec = ans.table_codec(table, count, precision)
    check_codec(codec, ans.empty(streams, lanes), x)
    check_codec(codec, filled_message(streams, lanes, 3, seed=count, ragged=True), x)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_popping_from_random_words_and_pushing_back_restores_them(data: st.DataObject) -> None:
    precision = data.draw(st.integers(1, 31), label="precision")
    lanes = data.draw(st.integers(1, 5), label="lanes")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    table = random_table(rng, min(1 << precision, 50), precision)
    codec = ans.table_codec(table, 12, precision)
    message = filled_message(2, lanes, 40, seed=precision)
    before = ans.flatten(ans.take(message, np.arange(2)))
    popped, x = codec.pop(message)
    after = ans.flatten(codec.push(popped, x))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("precision", [1, 16, 31])
def test_a_symbol_that_takes_everything_costs_nothing(precision: int) -> None:
    codec = ans.table_codec(np.array([1 << precision]), 100, precision)
    (words,) = check_codec(codec, ans.empty(), np.zeros((1, 100), dtype=np.int64))
    np.testing.assert_array_equal(words, [0, 1 << 31])


def test_bits_are_pushed_with_a_width_of_their_own_for_each_lane() -> None:
    bits = uint64([1, 7, 31, 20])
    value = uint64([1, 100, 2**31 - 1, 12345])
    message = filled_message(1, 4, 5)
    before = ans.flatten(ans.take(message, np.array([0])))
    message = ans.push_bits(message, value, bits)
    message, found = ans.pop_bits(message, 4, bits)
    np.testing.assert_array_equal(found, value)
    np.testing.assert_array_equal(ans.flatten(message)[0], before[0])


# --- the words themselves ---


def big_int_rans(symbols: list[tuple[int, int]], precision: int, lanes: int = 1) -> list[int]:
    """The definition on Python's integers: upper halves of the heads, lower halves, the tail."""
    heads, tail = [1 << 31] * lanes, []
    for first in range(0, len(symbols), lanes):
        spilled = []
        for lane, (start, length) in enumerate(symbols[first : first + lanes]):
            if heads[lane] >= length << (63 - precision):
                spilled.append(heads[lane] & 0xFFFFFFFF)
                heads[lane] >>= 32
            quotient, remainder = divmod(heads[lane], length)
            heads[lane] = (quotient << precision) + remainder + start
        tail = spilled + tail
    return [h >> 32 for h in heads] + [h & 0xFFFFFFFF for h in heads] + tail


GOLDEN_TABLE = np.array([1, 2, 4, 8, 16, 32, 64, 129, 256, 512])
GOLDEN_SYMBOLS = [9, 8, 0, 7, 7, 9, 1, 2, 3, 0, 6, 5, 9, 9, 9, 4, 8, 8, 0, 0]
GOLDEN_WORDS = [2114318800, 1357905920, 10488382, 1707436034]


def test_golden_words() -> None:
    codec = ans.table_codec(GOLDEN_TABLE, len(GOLDEN_SYMBOLS), 10)
    (words,) = check_codec(codec, ans.empty(), np.array([GOLDEN_SYMBOLS]))
    assert words.dtype == np.uint32
    assert words.tolist() == GOLDEN_WORDS


GOLDEN_LANES = [127, 532709137, 33554432, 33359872, 941952000, 16779558, 671383567]


def test_golden_words_of_three_lanes() -> None:
    codec = ans.table_codec(GOLDEN_TABLE, len(GOLDEN_SYMBOLS), 10)
    (words,) = check_codec(codec, ans.empty(1, 3), np.array([GOLDEN_SYMBOLS]))
    assert words.tolist() == GOLDEN_LANES


def test_a_head_that_would_grow_to_2_to_the_63_spills_a_word() -> None:
    """By hand: a bit on 2**62 spills 32 zeros, and 2**30 is left, which the bit doubles."""
    for head, words in [(1 << 62, [0, (1 << 31) + 1, 0]), ((1 << 62) - 1, [2**31 - 1, 2**32 - 1])]:
        message = ans.unflatten([np.array([head >> 32, head & 0xFFFFFFFF], np.uint32)])
        message = ans.push_bits(message, uint64([1]), 1)
        assert ans.flatten(message)[0].tolist() == words


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 31), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_words_are_those_of_the_definition(precision: int, lanes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = random_table(rng, min(1 << precision, 40), precision)
    x = rng.integers(0, len(table), 60)
    ends = np.cumsum(table)
    symbols = [(int(ends[s] - table[s]), int(table[s])) for s in x]
    message = ans.table_codec(table, 60, precision).push(ans.empty(1, lanes), x[None])
    assert ans.flatten(message)[0].tolist() == big_int_rans(symbols, precision, lanes)


def test_streams_side_by_side_are_the_streams_alone() -> None:
    rng = np.random.default_rng(4)
    codec = ans.table_codec(random_table(rng, 30, 12), 50, 12)
    x = rng.integers(0, 30, (6, 50))
    together = ans.flatten(codec.push(ans.empty(6, 4), x))
    for row, words in zip(x, together, strict=True):
        (alone,) = ans.flatten(codec.push(ans.empty(1, 4), row[None]))
        np.testing.assert_array_equal(words, alone)


# --- misuse and damage ---


def test_popping_more_than_was_pushed_is_an_error() -> None:
    codec = ans.table_codec(GOLDEN_TABLE, 60, 10)
    message = codec.push(ans.empty(2, 2), np.full((2, 60), 3))
    message, _ = codec.pop(message)
    with pytest.raises(MessageError, match="exhausted"):
        for _ in range(2):
            message, _ = codec.pop(message)


def test_one_exhausted_stream_among_full_ones_is_an_error() -> None:
    full = filled_message(2, 1, 50)
    message = ans.join(full, ans.empty(1, 1))
    with pytest.raises(MessageError):
        for _ in range(3):
            message, _ = ans.pop_bits(message, 1, 31)


def test_an_old_message_cannot_be_used_again() -> None:
    one = np.ones((1, 1), dtype=np.uint64)
    uses = [
        lambda m: ans.push(m, one, one, 8),
        lambda m: ans.drop(m, one, one, 8),
        ans.narrow,
        ans.flatten,
    ]
    for use in uses:
        old = filled_message(1, 1, 4)
        ans.push_bits(old, one, 31)
        with pytest.raises(RuntimeError, match="used before"):
            use(old)


def test_nor_where_python_leaves_assertions_out() -> None:
    child = """
import numpy as np
from drrpack.core import ans
one, old = np.ones((1, 1), dtype=np.uint64), ans.empty()
ans.push_bits(old, one, 31)
try:
    ans.push_bits(old, one, 31)
except RuntimeError as error:
    print(error)
"""
    command = [sys.executable, "-O", "-c", child]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "used before" in done.stdout


@pytest.mark.parametrize(
    "use",
    [
        lambda m: ans.take(m, np.array([0])),
        lambda m: ans.join(m, ans.empty()),
        lambda m: ans.join(ans.empty(), m),
    ],
)
def test_streams_of_an_old_message_cannot_be_taken(use: Callable[[ans.Message], object]) -> None:
    old = filled_message(1, 1, 4)
    ans.push_bits(old, np.ones((1, 1), dtype=np.uint64), 31)
    with pytest.raises(RuntimeError, match="used before"):
        use(old)


@pytest.mark.parametrize("lanes", [1, 5])
def test_flatten_and_unflatten_are_inverse(lanes: int) -> None:
    message = filled_message(3, lanes, 20, ragged=True)
    words = ans.flatten(ans.take(message, np.arange(3)))
    assert [len(w) for w in words] == [2 * lanes + 20, 2 * lanes + 40, 2 * lanes + 20]
    again = ans.unflatten(words, lanes)
    assert (again.streams, again.lanes) == (3, lanes)
    np.testing.assert_array_equal(again.head, message.head)
    np.testing.assert_array_equal(again.tail_words, message.tail_words)
    for old, new in zip(words, ans.flatten(again), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("words", [[], [5], [0, 1 << 30], [1 << 31, 0]])
def test_streams_without_a_valid_head_are_corrupt(words: list[int]) -> None:
    good = np.array([0, 1 << 31], dtype=np.uint32)
    ans.unflatten([good])  # the smallest valid one
    with pytest.raises(CorruptError):
        ans.unflatten([good, np.array(words, dtype=np.uint32)])


def test_truncated_streams_are_errors_or_show() -> None:
    rng = np.random.default_rng(1)
    codec = ans.table_codec(random_table(rng, 100, 16), 300, 16)
    x = rng.integers(0, 100, (1, 300))
    (words,) = ans.flatten(codec.push(ans.empty(), x))
    for keep in range(len(words)):
        with pytest.raises((CorruptError, MessageError)):
            codec.pop(ans.unflatten([words[:keep]]))


def test_a_flipped_bit_is_an_error_or_changes_symbols() -> None:
    rng = np.random.default_rng(2)
    codec = ans.table_codec(random_table(rng, 100, 16), 60, 16)
    x = rng.integers(0, 100, (1, 60))
    (words,) = ans.flatten(codec.push(ans.empty(), x))
    for bit in range(32 * len(words)):
        damaged = words.copy()
        damaged[bit // 32] ^= np.uint32(1 << bit % 32)
        try:
            message, found = codec.pop(ans.unflatten([damaged]))
        except (CorruptError, MessageError):
            continue
        spare = message.tail_words.any() or (message.head != ans.HEAD_MIN).any()
        assert spare or not np.array_equal(found, x)


# --- lanes ---


@pytest.mark.parametrize("lanes", [1, 2, 8, 64])
def test_widen_and_narrow_are_inverse(lanes: int) -> None:
    for seed in range(5):
        message = filled_message(3, 1, ans.words_to_widen(lanes), seed)
        before = ans.flatten(ans.take(message, np.arange(3)))
        wide = ans.widen(message, lanes)
        assert wide.lanes == lanes
        for old, new in zip(before, ans.flatten(ans.narrow(wide)), strict=True):
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("lanes", [2, 64])
def test_narrow_takes_heads_of_every_magnitude(lanes: int) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(31, 63, (4, lanes)).astype(np.uint64)
    head = (np.uint64(1) << bits) + rng.integers(0, 1 << 31, (4, lanes)).astype(np.uint64)
    head[0, 1], head[1, 1] = 1 << 31, (1 << 63) - 1
    rows = [np.concatenate([h >> np.uint64(32), h & np.uint64(2**32 - 1)]) for h in head]
    wide = ans.unflatten([row.astype(np.uint32) for row in rows], lanes)
    again = ans.widen(ans.narrow(wide), lanes)
    np.testing.assert_array_equal(again.head, head)
    assert not again.tail_words.any()


def test_words_to_widen_suffice_for_the_dearest_heads() -> None:
    for lanes in (2, 3, 8, 64):
        dearest = [0, (1 << 31) + 31, *[2**32 - 1] * ans.words_to_widen(lanes)]
        wide = ans.widen(ans.unflatten([np.array(dearest, np.uint32)]), lanes)
        assert (wide.head[:, 1:] >= 1 << 62).all()
        with pytest.raises(MessageError):
            ans.widen(ans.unflatten([np.array(dearest[:-1], np.uint32)]), lanes)


def narrow_wide_narrow(table: Int, x: Int, lanes: int) -> NDArray[np.uint32]:
    """A stream that starts on one lane, is widened as soon as it can, and ends on one lane."""
    precision, done = 16, 0
    message = ans.empty()
    while message.tail_words[0] < ans.words_to_widen(lanes):
        message = ans.table_codec(table, 1, precision).push(message, x[None, done : done + 1])
        done += 1
    message = ans.widen(message, lanes)
    message = ans.table_codec(table, len(x) - done, precision).push(message, x[None, done:])
    (words,) = ans.flatten(ans.narrow(message))

    back = ans.widen(ans.unflatten([words]), lanes)
    back, late = ans.table_codec(table, len(x) - done, precision).pop(back)
    back, early = ans.table_codec(table, done, precision).pop(ans.narrow(back))
    np.testing.assert_array_equal(np.concatenate([early[0], late[0]]), x)
    np.testing.assert_array_equal(ans.flatten(back)[0], [0, 1 << 31])
    return words


@pytest.mark.parametrize(
    ("size", "kilobytes"), [(2, 6), (10, 6), (10, 25), (40, 50), (512, 6), (512, 25), (512, 100)]
)
def test_64_lanes_cost_no_more_than_one(size: int, kilobytes: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        table = random_table(rng, size, 16)
        p = table / table.sum()
        entropy = float(-(p * np.log2(p)).sum())
        x = rng.choice(size, math.ceil(8000 * kilobytes / entropy), p=p)
        ideal = math.fsum(-math.log2(p[s]) for s in x) / 8
        assert ideal > 950 * kilobytes
        assert 4 * len(narrow_wide_narrow(table, x, 64)) < ideal * 1.001 + 8


# --- several streams ---


def test_take_gives_streams_that_no_longer_share_words() -> None:
    message = filled_message(3, 2, 6)
    words = ans.flatten(ans.take(message, np.arange(3)))
    last, first = (ans.take(message, np.array(rows)) for rows in ([2], [0, 1]))
    symbols = uint64([5, 6], [7, 8])
    first = ans.push_bits(first, symbols, 31)
    np.testing.assert_array_equal(ans.flatten(last)[0], words[2])
    first, found = ans.pop_bits(first, 2, 31)
    np.testing.assert_array_equal(found, symbols)
    for old, new in zip(words[:2], ans.flatten(first), strict=True):
        np.testing.assert_array_equal(old, new)


def test_join_is_the_inverse_of_take_in_any_order() -> None:
    message = filled_message(5, 3, 9, ragged=True)
    words = ans.flatten(ans.take(message, np.arange(5)))
    order = np.array([3, 1, 4, 0, 2])
    parts = ans.take(message, order[:2]), ans.take(message, order[2:])
    joined = ans.join(*parts)
    for index, found in zip(order, ans.flatten(ans.take(joined, np.arange(5))), strict=True):
        np.testing.assert_array_equal(found, words[index])
    for old, new in zip(words, ans.flatten(ans.take(joined, np.argsort(order))), strict=True):
        np.testing.assert_array_equal(old, new)


def test_take_and_join_of_no_streams() -> None:
    message = filled_message(2, 3, 4)
    words = ans.flatten(ans.take(message, np.arange(2)))
    none = ans.take(message, np.arange(0))
    assert none.streams == 0
    for old, new in zip(words, ans.flatten(ans.join(none, message)), strict=True):
        np.testing.assert_array_equal(old, new)


def test_symbols_for_fewer_lanes_leave_the_others_alone() -> None:
    message = filled_message(1, 5, 4)
    head = message.head.copy()
    message = ans.push_bits(message, uint64([1, 2]), 20)
    np.testing.assert_array_equal(message.head[:, 2:], head[:, 2:])
    assert (message.head[:, :2] != head[:, :2]).all()
