"""Codes in as many bits as they need, against arithmetic with Python's own integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drrpack.core.codes import Codes
from drrpack.formats.replay.packing import CodePacking


@given(
    rows=st.integers(1, 4), columns=st.integers(1, 4), images=st.integers(0, 5),
    size=st.integers(1, 65536), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_pack_and_unpack(rows: int, columns: int, images: int, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    codes = Codes.of(
        random.integers(0, size, (images, rows, columns)),
        random.integers(0, size, (images, 2 * rows, 2 * columns)),
    )
    packing = CodePacking.of((rows, columns), size)
    packed = packing.pack(codes)
    assert packed.dtype == np.uint8 and packed.shape == (images, packing.row_bytes)
    for row, flat in zip(packed, codes.flat, strict=True):
        assert row.tobytes() == by_hand(flat.tolist(), size)
    found = packing.unpack(packed)
    np.testing.assert_array_equal(found.top, codes.top)
    np.testing.assert_array_equal(found.bottom, codes.bottom)


def by_hand(codes: list[int], size: int) -> bytes:
    """The codes as digits of one long number, which zeros fill up to whole bytes."""
    bits = next(n for n in range(1, 17) if 2**n >= size)
    text = "".join(f"{code:0{bits}b}" for code in codes)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


@pytest.mark.parametrize(
    ("size", "image_bytes"), [(512, 90), (511, 90), (256, 80), (257, 90), (2, 10), (1, 10)]
)
def test_bytes_of_an_image_of_32_pixels(size: int, image_bytes: int) -> None:
    """4x4 and 8x8 codes."""
    assert CodePacking.of((4, 4), size).row_bytes == image_bytes
