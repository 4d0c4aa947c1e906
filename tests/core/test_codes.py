"""Codes as one value: parts, rows and digests, against numpy and hashlib."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from drrpack.core.codes import Codes, Levels


def drawn(images: int, seed: int = 0, shape: tuple[int, int] = (2, 3)) -> Codes:
    rng = np.random.default_rng(seed)
    rows, columns = shape
    return Codes.of(
        rng.integers(0, 512, (images, rows, columns)),
        rng.integers(0, 512, (images, 2 * rows, 2 * columns)),
    )


@pytest.mark.parametrize("images", [0, 1, 5])
def test_flat_and_back(images: int) -> None:
    codes = drawn(images)
    assert codes.flat.shape == (images, 5 * 6) and codes.flat.dtype == np.uint16
    np.testing.assert_array_equal(codes.flat[:, :6].reshape(-1), codes.top.reshape(-1))
    again = Codes.from_flat(codes.flat.astype(np.int64), codes.top_shape)
    np.testing.assert_array_equal(again.top, codes.top)
    np.testing.assert_array_equal(again.bottom, codes.bottom)


def test_parts_and_rows() -> None:
    parts = [drawn(3, 1), Codes.empty((2, 3)), drawn(4, 2)]
    whole = Codes.concat(parts)
    assert len(whole) == 7 and whole.top_shape == (2, 3)
    np.testing.assert_array_equal(whole.take(slice(3, 7)).flat, parts[2].flat)
    np.testing.assert_array_equal(whole.take(np.array([6, 0])).flat, whole.flat[[6, 0]])


def test_the_digest_is_that_of_the_format() -> None:
    codes = drawn(3)
    data = b"".join(int(code).to_bytes(2, "little") for grid in codes.grids for code in grid.flat)
    assert codes.digest == int.from_bytes(sha256(data).digest()[:8], "little")
    assert codes.digest != codes.take(np.array([1, 0, 2])).digest


def test_there_is_one_type_of_codes() -> None:
    codes = drawn(2)
    with pytest.raises(TypeError, match=r"int64.*expected uint16"):
        Codes(codes.top.astype(np.int64), codes.bottom)
    with pytest.raises(ValueError, match="2 top and 1 bottom"):
        Codes(codes.top, codes.bottom[:1])
    for bad in (-1, 1 << 16):
        with pytest.raises(ValueError, match="expected 0 to 65535"):
            Codes.of(np.full((2, 2, 3), bad), codes.bottom)


def test_levels() -> None:
    both = Levels(1, 2)
    assert (both["top"], both["bottom"]) == (both.top, both.bottom) == (1, 2)
