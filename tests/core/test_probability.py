"""Probability tables against high precision, and intervals of logistics and categoricals."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from drrpack.core.probability import (
    BIN_COUNT,
    BIN_MIN,
    MEAN_UNIT,
    PRECISION,
    SCALE_COUNT,
    SCALE_STEP,
    SCALE_ZERO,
    Categorical,
    Logistic,
    exp2_table,
    logistic_table,
)

Int = NDArray[np.int64]
CPU = torch.device("cpu")


# --- tables ---


def sha256(table: NDArray[Any], dtype: str) -> str:
    return hashlib.sha256(table.astype(dtype).tobytes()).hexdigest()


def test_exp2_table_against_high_precision() -> None:
    mpmath = pytest.importorskip("mpmath")
    table = exp2_table()
    with mpmath.workdps(50):
        wanted = [int(mpmath.nint(2 ** (16 - mpmath.mpf(d) / 16))) for d in range(289)]
    assert table.tolist() == [*wanted, 0]
    assert table[[0, 16, 256]].tolist() == [65536, 32768, 1]
    assert (np.diff(table) <= 0).all()
    assert sha256(table, "<i4") == EXP2_SHA256


EXP2_SHA256 = "edf54e7a899de1ba5bf02517f7d696d06bec2e22c178a39789be6ae33f838276"
LOGISTIC_SHA256 = "9349b506404b67a1234d6579b8f94b32b8c265934006ecec58c51df5f7bcf4f8"
REACH = BIN_COUNT * MEAN_UNIT + MEAN_UNIT


def test_logistic_table_is_pinned_monotone_and_symmetric() -> None:
    table = logistic_table()
    assert table.shape == (SCALE_COUNT, 2 * REACH + 1)
    assert (np.diff(table, axis=1) >= 0).all()
    top = (1 << PRECISION) - BIN_COUNT
    np.testing.assert_array_equal((table + table[:, ::-1])[:, :REACH], top)
    np.testing.assert_array_equal(table[:, REACH], top // 2)
    assert not table.flags.writeable
    assert sha256(table, "<i4") == LOGISTIC_SHA256


def test_logistic_table_against_high_precision() -> None:
    mpmath = pytest.importorskip("mpmath")
    table, rng = logistic_table(), np.random.default_rng(0)
    top = (1 << PRECISION) - BIN_COUNT
    entries = [(i, d) for i in (0, SCALE_COUNT - 1) for d in (0, 1, REACH)]
    entries += [(int(rng.integers(SCALE_COUNT)), int(rng.integers(REACH + 1))) for _ in range(3000)]
    with mpmath.workdps(60):
        for i, d in entries:
            scale = mpmath.mpf(2) ** (mpmath.mpf(i - SCALE_ZERO) / SCALE_STEP)
            wanted = int(mpmath.floor(top / (1 + mpmath.exp(-d / (MEAN_UNIT * scale)))))
            found = int(table[i, REACH + d])
            # beyond 60 binary places of certainty the table's 96-bit powers may say "all of it"
            saturated = d > 60 * math.log(2) * MEAN_UNIT * float(scale)
            assert found == wanted or (saturated and found == top), (i, d)
            if d:
                assert table[i, REACH - d] == top - found, (i, d)


# --- distributions ---

ALL_BINS = np.arange(BIN_MIN, BIN_MIN + BIN_COUNT)
EVERY_COLUMN = slice(None)


def corners_and_random(seed: int) -> tuple[Int, Int]:
    """Means and scales (1, n): every extreme, and many in between."""
    rng = np.random.default_rng(seed)
    means = [-512, -511, 0, 1, 510, 511]
    corners = [(m, s) for m in means for s in (0, 1, 13, 62, 63)]
    mean = np.concatenate([[m for m, _ in corners], rng.integers(-512, 512, 100)])
    scale = np.concatenate([[s for _, s in corners], rng.integers(0, SCALE_COUNT, 100)])
    return mean[None], scale[None]


def all_intervals(logistic: Logistic) -> tuple[Int, Int]:
    """Start and length (n, bins) of each bin of each symbol."""
    pairs = [logistic.interval(np.full((1, logistic.count), z), EVERY_COLUMN) for z in ALL_BINS]
    start = np.stack([s[0] for s, _ in pairs], 1).astype(np.int64)
    return start, np.stack([n[0] for _, n in pairs], 1).astype(np.int64)


def test_logistic_intervals_partition_the_range() -> None:
    mean, scale = corners_and_random(0)
    start, length = all_intervals(Logistic(mean, scale))
    assert (start[:, 0] == 0).all()
    assert length.min() >= 1
    np.testing.assert_array_equal(start[:, 1:], (start + length)[:, :-1])
    assert ((start + length)[:, -1] == 1 << PRECISION).all()


def test_logistic_find_is_the_inverse_of_interval() -> None:
    mean, scale = corners_and_random(1)
    logistic = Logistic(mean, scale)
    start, length = all_intervals(logistic)
    for index, z in enumerate(ALL_BINS):
        for point in (start[:, index], start[:, index] + length[:, index] - 1):
            found = logistic.find(point[None].astype(np.uint64), EVERY_COLUMN)
            assert (found == z).all()
    rng = np.random.default_rng(2)
    for _ in range(50):
        point = rng.integers(0, 1 << PRECISION, (1, 40)).astype(np.uint64)
        part = slice(7, 47)
        begin, size = logistic.interval(logistic.find(point, part), part)
        assert ((begin <= point) & (point < begin + size)).all()


def test_logistic_frequencies_are_the_logistics_mass() -> None:
    mean, scale = corners_and_random(3)
    _, length = all_intervals(Logistic(mean, scale))
    spread = 2.0 ** ((scale[0] - SCALE_ZERO) / SCALE_STEP)
    edges = np.arange(BIN_MIN, BIN_MIN + BIN_COUNT + 1) - 0.5
    argument = (edges - mean[0][:, None] / MEAN_UNIT) / spread[:, None]
    below = 0.5 * (1 + np.tanh(argument / 2))
    below[:, 0], below[:, -1] = 0.0, 1.0
    mass = np.diff(below, axis=1)
    assert np.abs(length / 2**PRECISION - mass).max() < 3 * BIN_COUNT / 2**PRECISION
    bits = -(mass * np.log2(length / 2**PRECISION)).sum(1)
    entropy = -(mass * np.log2(np.maximum(mass, 1e-300))).sum(1)
    assert (bits - entropy).max() < 0.002


def random_logits(seed: int, count: int, size: int, spread: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(2, count, size, generator=generator)).round().clamp(-512, 511)


def frequencies(categorical: Categorical, streams: int, count: int, size: int) -> tuple[Int, Int]:
    pairs = [
        categorical.interval(np.full((streams, count), code), EVERY_COLUMN) for code in range(size)
    ]
    start = np.stack([s for s, _ in pairs], 2).astype(np.int64)
    return start, np.stack([n for _, n in pairs], 2).astype(np.int64)


@pytest.mark.parametrize("size", [1, 2, 37, 512, 4096])
@pytest.mark.parametrize("spread", [0.0, 40.0, 500.0])
def test_categorical_intervals_partition_the_range(size: int, spread: float) -> None:
    count = 5 if size == 4096 else 30
    categorical = Categorical(random_logits(0, count, size, spread))
    start, length = frequencies(categorical, 2, count, size)
    assert (start[..., 0] == 0).all()
    assert length.min() >= 1
    np.testing.assert_array_equal(start[..., 1:], (start + length)[..., :-1])
    assert ((start + length)[..., -1] == 1 << PRECISION).all()


@pytest.mark.parametrize("size", [1, 37, 512])
def test_categorical_find_is_the_inverse_of_interval(size: int) -> None:
    categorical = Categorical(random_logits(1, 40, size, 60.0))
    start, length = frequencies(categorical, 2, 40, size)
    for code in range(size):
        for point in (start[..., code], start[..., code] + length[..., code] - 1):
            found = categorical.find(point.astype(np.uint64), EVERY_COLUMN)
            assert (found == code).all()
    rng = np.random.default_rng(2)
    part = slice(3, 33)
    for _ in range(50):
        point = rng.integers(0, 1 << PRECISION, (2, 30)).astype(np.uint64)
        begin, sizes = categorical.interval(categorical.find(point, part), part)
        assert ((begin <= point) & (point < begin + sizes)).all()


@pytest.mark.parametrize("spread", [0.0, 20.0, 60.0, 300.0])
def test_categorical_frequencies_are_the_softmax(spread: float) -> None:
    logits = random_logits(3, 1500, 512, spread)  # more than one block of rows
    categorical = Categorical(logits)
    _, length = frequencies(categorical, 2, 1500, 512)
    mass = torch.softmax(logits.double() * (np.log(2) / 16), 2).numpy()
    assert np.abs(length / 2**PRECISION - mass).max() < 2 * 512 / 2**PRECISION
    bits = -(mass * np.log2(length / 2**PRECISION)).sum(2)
    entropy = -(mass * np.log2(np.maximum(mass, 1e-300))).sum(2)
    assert (bits - entropy).max() < 0.002


def test_categorical_takes_logits_in_any_memory_layout() -> None:
    logits = torch.randint(-200, 200, (1, 7, 16), generator=torch.Generator().manual_seed(3))
    codes = np.arange(7)[None] % 16
    for carrier in (torch.float32, torch.float64):
        plain = logits.to(carrier)
        turned = plain.transpose(1, 2).contiguous().transpose(1, 2)
        assert not turned.is_contiguous()
        expected, found = (Categorical(x).interval(codes, slice(None)) for x in (plain, turned))
        np.testing.assert_array_equal(expected, found)


def test_categorical_does_not_depend_on_carrier_or_company() -> None:
    logits = random_logits(4, 1500, 64, 50.0)
    whole = Categorical(logits)
    point = np.random.default_rng(0).integers(0, 1 << PRECISION, (2, 1500)).astype(np.uint64)
    found = whole.find(point, EVERY_COLUMN)
    doubles = Categorical(logits.double())
    np.testing.assert_array_equal(doubles.find(point, EVERY_COLUMN), found)
    alone = Categorical(logits[1:, 700:701])
    np.testing.assert_array_equal(alone.find(point[1:, 700:701], EVERY_COLUMN), found[1:, 700:701])
    for a, b in zip(
        alone.interval(found[1:, 700:701], EVERY_COLUMN),
        whole.interval(found[1:, 700:701].repeat(2, 0), slice(700, 701)),
        strict=True,
    ):
        np.testing.assert_array_equal(a[0], b[1])
