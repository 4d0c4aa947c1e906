"""Herding against a second way to compute it, and what the codec knows of images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import small_vqvae

from drrpack.core.codes import Codes
from drrpack.trainers.incremental import exemplars
from drrpack.trainers.incremental.exemplars import choose, features, herd


def herd_slowly(rows: np.ndarray, count: int) -> list[int]:
    """iCaRL, algorithm 4, to the letter."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mean, chosen = rows.mean(0), []
    for k in range(1, count + 1):
        left = [i for i in range(len(rows)) if i not in chosen]
        errors = [np.linalg.norm(mean - rows[[*chosen, i]].sum(0) / k) for i in left]
        chosen.append(left[int(np.argmin(errors))])
    return chosen


# two images are as far from their mean as one another, up to rounding: either may be the first
IMAGES = st.integers(1, 25).filter(lambda count: count != 2)


@settings(max_examples=30, deadline=None)
@given(IMAGES, st.integers(1, 30), st.integers(0, 10_000))
def test_herding(images: int, count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(images, 5))
    found = herd(rows, count)
    assert found.tolist() == herd_slowly(rows, min(count, images))
    assert herd(rows, max(1, count // 2)).tolist() == found[: max(1, count // 2)].tolist()


def test_the_mean_of_what_is_herded_is_near_the_mean_of_all() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 16)) + 1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    herded = np.linalg.norm(rows[herd(rows, 20)].mean(0) - rows.mean(0))
    drawn = [np.linalg.norm(rows[20 * k : 20 * k + 20].mean(0) - rows.mean(0)) for k in range(25)]
    assert herded < 0.5 * min(drawn)


def test_images_without_features_do_no_harm() -> None:
    assert sorted(herd(np.zeros((4, 3)), 4).tolist()) == [0, 1, 2, 3]


def codes(images: int) -> Codes:
    rng = np.random.default_rng(0)
    return Codes.of(rng.integers(0, 32, (images, 2, 3)), rng.integers(0, 32, (images, 4, 6)))


def test_features_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    network, some = small_vqvae(), codes(7)
    whole = features(some, network)
    monkeypatch.setattr(exemplars, "CODES_AT_ONCE", 2 * 24)  # two images
    np.testing.assert_array_equal(features(some, network), whole)


def test_features_are_mean_vectors_of_the_codes() -> None:
    network, some = small_vqvae(), codes(3)
    found = features(some, network)
    for image in range(3):
        wanted = [
            np.mean([quantiser.codebook[c].numpy() for c in grid[image].reshape(-1)], 0)
            for grid, quantiser in ((some.top, network.top), (some.bottom, network.bottom))
        ]
        np.testing.assert_allclose(found[image], np.concatenate(wanted), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["herding", "random"])
def test_a_choice(how: str) -> None:
    network, some = small_vqvae(), codes(12)
    chosen = choose(how, some, network, 5, seed=1)  # type: ignore[arg-type]
    assert len(set(chosen.tolist())) == 5 and chosen.max() < 12
    assert chosen.tolist() == choose(how, some, network, 5, seed=1).tolist()  # type: ignore[arg-type]
    assert sorted(choose(how, some, network, 50, seed=1).tolist()) == list(range(12))  # type: ignore[arg-type]
    other = choose(how, some, network, 5, seed=2).tolist()  # type: ignore[arg-type]
    assert (other == chosen.tolist()) is (how == "herding")
