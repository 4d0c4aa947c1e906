"""Pieces and parts: everything is covered once, whoever divides it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drrpack.operations.encoding import pieces
from drrpack.operations.encoding.pieces import divide
from drrpack.trainers.ranks import shares


def source(counts: list[int], side: int) -> Any:
    return SimpleNamespace(image_size=(side, side), images_per_class=tuple(counts))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.sampled_from([8, 32, 500]))
def test_every_image_is_in_one_piece_in_order(counts: list[int], side: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_BYTES", 50 * 3 * 32 * 32)
        patch.setattr(pieces, "PART_PIXELS", 64 * 32 * 32)
        parts = divide(source(counts, side))
    found = [(p.class_index, i) for part in parts for p in part for i in range(p.start, p.stop)]
    assert found == [(number, i) for number, count in enumerate(counts) for i in range(count)]
    most = max(1, 50 * 32 * 32 // side**2)
    assert all(1 <= len(piece) <= most for part in parts for piece in part)


def test_usual_sources_have_a_stream_a_class_and_small_ones_one_part() -> None:
    assert len(divide(source([500] * 8, 32))) == 1
    parts = divide(source([500] * 100, 32))
    assert len(parts) == 12 and [len(part) for part in parts] == [*[9] * 11, 1]
    assert [len(part) for part in divide(source([1300] * 3, 224))] == [1, 1, 1]
    (one, *_), *_ = divide(source([5000], 224))
    assert len(one) == 2**28 // (3 * 224 * 224)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 6))
def test_shares_cover_all_and_are_fair(sizes: list[int], processes: int) -> None:
    given_out = shares(sizes, processes)
    assert sorted(p for share in given_out for p in share) == list(range(len(sizes)))
    totals = [sum(sizes[p] for p in share) for share in given_out]
    assert max(totals) - min(totals) <= max(sizes)
