"""Packed weights come back, take what their entropy says, and anything else is a named error."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drrpack.core import ans, packing
from drrpack.core.errors import CorruptError

tensors = st.lists(
    st.tuples(
        st.lists(st.integers(0, 7), min_size=1, max_size=3).map(tuple),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0, 1, 3, 100, 2000]),
    ),
    min_size=1,
    max_size=5,
)


def array(shape: tuple[int, ...], seed: int, reach: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-reach, reach + 1, shape)


@given(tensors)
def test_whatever_is_packed_comes_back(made: list[tuple[tuple[int, ...], int, int]]) -> None:
    arrays = [array(*each) for each in made]
    again = packing.unpack(packing.pack(arrays), [a.shape for a in arrays])
    for one, other in zip(arrays, again, strict=True):
        assert other.dtype == np.int64
        np.testing.assert_array_equal(one, other)


def test_the_size_is_the_entropy() -> None:
    rng = np.random.default_rng(0)
    weights = [np.rint(rng.normal(0, spread, 200_000)).astype(int) for spread in (1.0, 6.0)]
    bits = 0.0
    for values in weights:
        share = np.bincount(values - values.min()) / len(values)
        bits -= len(values) * (share[share > 0] * np.log2(share[share > 0])).sum()
    size = len(packing.pack(weights))
    assert bits / 8 < size < 1.003 * bits / 8 + 4 * packing.LANES_MAX + 300


def test_the_bytes_are_pinned() -> None:
    """A table, and a message of two symbols of one bit each, by hand."""
    data = packing.pack([np.array([5, 4])])
    table = struct.pack("<hHHH", 4, 2, 8192, 8192)
    # from 2**31, which holds nothing; each value is half of the range, 5 the upper one
    head = ans.HEAD_MIN
    for start in (8192, 0):
        head = (
            (head // np.uint64(8192) << np.uint64(14)) + head % np.uint64(8192) + np.uint64(start)
        )
    assert data == table + struct.pack("<II", int(head) >> 32, int(head) & 0xFFFFFFFF)


def test_what_cannot_be_packed() -> None:
    with pytest.raises(ValueError, match="from 0 to 5000"):
        packing.pack([np.array([0, 5000])])
    with pytest.raises(ValueError, match="can't be packed"):
        packing.pack([np.array([40_000, 40_001])])


def damaged(data: bytes) -> list[tuple[bytes, str]]:
    return [
        (b"", "can't hold"),
        (data[:3], "can't hold|within a table"),
        (data[:40], "values|within|can't hold"),
        (data[:-1], "whole word"),
        (data[:-4], "truncated"),
        (data + bytes(4), "more than"),
        (struct.pack("<hH", 0, 0) + data[4:], "has 0 values"),
        (struct.pack("<hH", 0, 5000) + data[4:], "has 5000 values"),
        (data[:4] + struct.pack("<H", 1) + data[6:], "add up"),
    ]


@pytest.mark.parametrize("number", range(9))
def test_anything_else_is_an_error(number: int) -> None:
    weights = array((40, 50), 1, 9)
    data, message = damaged(packing.pack([weights]))[number]
    with pytest.raises(CorruptError, match=message):
        packing.unpack(data, [weights.shape])


def test_a_few_bytes_are_not_a_large_model() -> None:
    data = packing.pack([np.zeros(1000, int)])
    with pytest.raises(CorruptError, match="can't hold the 4000000000000 weights"):
        packing.unpack(data, [(1_000_000, 2_000_000), (2_000_000, 1_000_000)])


@pytest.mark.parametrize("commonest", [8192, 16383])
def test_no_room_is_made_for_what_can_not_be_there(commonest: int) -> None:
    """Within 64 values for each byte, yet the likeliest value alone would take more bytes."""
    table = struct.pack("<hHHH", 0, 2, commonest, 2**14 - commonest)
    count = 4_000_000
    data = table + bytes(count // packing.VALUES_A_BYTE_MAX if commonest == 8192 else 0)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError, match=r"can't hold|truncated"):
            packing.unpack(data, [(2000, 2000)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(data) + 100_000


@pytest.mark.parametrize("share", [0.0, 0.0002, 0.002, 0.02])
@pytest.mark.parametrize("count", [1, 255, 300, 20_000, 140_000])
def test_what_was_packed_is_never_taken_for_too_little(share: float, count: int) -> None:
    """Values nearly all alike cost the least there is, and so are nearest to the bound."""
    rng = np.random.default_rng(0)
    weights = (rng.random(count) < share).astype(int)
    data = packing.pack([weights])
    if count > packing.VALUES_A_BYTE_MAX * len(data):
        return  # what can't be told from a lie is refused
    np.testing.assert_array_equal(packing.unpack(data, [(count,)])[0], weights)


@given(st.integers(0, 2**32 - 1), st.data())
def test_flipped_bits_are_errors_or_other_weights(seed: int, draw: st.DataObject) -> None:
    weights = array((30, 30), seed, 5)
    data = bytearray(packing.pack([weights]))
    place = draw.draw(st.integers(0, len(data) - 1))
    data[place] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        (again,) = packing.unpack(bytes(data), [weights.shape])
    except CorruptError:
        return
    assert again.shape == weights.shape and not np.array_equal(again, weights)
