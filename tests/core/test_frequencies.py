"""Tables of frequencies: what they hold, and that they come back from their bytes."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import frequency_table

from drrpack.core.codes import Codes
from drrpack.core.errors import CorruptError
from drrpack.core.frequencies import (
    TABLE_PRECISION,
    frequency_tables,
    tables_from_bytes,
    tables_to_bytes,
)


@pytest.mark.parametrize("codes", [[], [5], [3] * 10**6, list(range(32)) * 100])
def test_frequency_tables(codes: list[int]) -> None:
    table = frequency_table(np.array(codes, dtype=np.int64), 32)
    assert table.dtype == np.uint32 and table.shape == (32,)
    assert table.min() >= 1 and int(table.sum()) == 1 << TABLE_PRECISION
    if codes and len(set(codes)) == 1:
        assert table.argmax() == codes[0]


def test_frequency_tables_follow_the_codes() -> None:
    codes = np.random.default_rng(0).choice(16, 50_000, p=np.arange(1, 17) / 136)
    table = frequency_table(codes, 16)
    np.testing.assert_allclose(table / table.sum(), np.bincount(codes) / len(codes), atol=2e-3)


def test_tables_come_back_from_their_bytes() -> None:
    rng = np.random.default_rng(0)
    codes = Codes.of(rng.integers(0, 9, (5, 2, 2)), rng.integers(0, 32, (5, 4, 4)))
    tables = frequency_tables(codes, 32)
    data = tables_to_bytes(tables)
    again = tables_from_bytes(data, 32)
    for level in ("top", "bottom"):
        np.testing.assert_array_equal(again[level], tables[level])
    for damaged in (b"", data[:-2], data + b"00", b"\0" * len(data), data[2:] + data[:2] + b"00"):
        with pytest.raises(CorruptError):
            tables_from_bytes(damaged, 32)
