"""Codecs made of codecs undo themselves, cost what they should, and are craystack's by words."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import check_codec, content_bits, filled_message

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.entropy.combine import bits_back, in_turn, shaped

PRECISION = 12


def skewed(seed: int, size: int = 8) -> np.ndarray:
    """A table of frequencies that are far from equal."""
    weights = np.random.default_rng(seed).random(size) ** 3 + 0.01
    table = np.maximum(1, np.floor(weights / weights.sum() * (1 << PRECISION))).astype(np.int64)
    table[table.argmax()] += (1 << PRECISION) - table.sum()
    return table


def symbols(seed: int, count: int) -> ans.Codec[Symbols]:
    return ans.table_codec(skewed(seed), count, PRECISION)


def drawn(*shape: int) -> Symbols:
    return np.random.default_rng(0).integers(0, 8, shape)


@pytest.mark.parametrize("lanes", [1, 3, 8])
def test_shaped_symbols_are_the_same_words(lanes: int) -> None:
    x, message = drawn(2, 3, 4, 5), filled_message(2, lanes, 50)
    words = check_codec(shaped(symbols(0, 60), x.shape), message, x)
    flat = check_codec(symbols(0, 60), filled_message(2, lanes, 50), x.reshape(2, 60))
    for a, b in zip(words, flat, strict=True):
        np.testing.assert_array_equal(a, b)


def test_parts_are_coded_by_what_stands_before_them() -> None:
    """Each part's table is numbered by the sum of the parts before; later ones must not matter."""
    shape = (2, 6)
    parts = [lambda x, n=n: x[:, n::3] for n in range(3)]

    def given(number: int, known: Symbols) -> ans.Codec[Symbols]:
        before = sum(int(parts[n](known).sum()) for n in range(number))
        return symbols(before, 2)

    codec = in_turn(shape, parts, given)
    check_codec(codec, filled_message(2, 2, 50, ragged=True), drawn(*shape))
    alone = filled_message(2, 2, 50)
    for number in reversed(range(3)):  # decoding starts with the first part
        alone = given(number, drawn(*shape)).push(alone, parts[number](drawn(*shape)))
    pushed = codec.push(filled_message(2, 2, 50), drawn(*shape))
    for a, b in zip(ans.flatten(alone), ans.flatten(pushed), strict=True):
        np.testing.assert_array_equal(a, b)


def mixture(count: int) -> tuple[ans.Codec[Symbols], np.ndarray]:
    """Bits back with a latent of 8 values for each symbol, q being the posterior exactly, and the
    bits of each symbol under the mixture that the model is."""
    prior, tables = skewed(9), np.stack([skewed(seed) for seed in range(8)])
    joint = prior[:, None] * tables / 4.0**PRECISION  # (z, x)
    posterior = joint / joint.sum(0)

    def each(rows: np.ndarray) -> ans.Codec[Symbols]:
        """A codec by a table of its own for each symbol: rows (streams, n, 8)."""
        ends = np.concatenate([np.zeros_like(rows[..., :1]), rows.cumsum(-1)], -1).astype(np.uint64)

        def interval(x: Symbols, part: slice) -> tuple[np.ndarray, np.ndarray]:
            start = np.take_along_axis(ends[:, part], x[..., None], -1)[..., 0]
            end = np.take_along_axis(ends[:, part], x[..., None] + 1, -1)[..., 0]
            return start, end - start

        def find(point: np.ndarray, part: slice) -> Symbols:
            return (ends[:, part] <= point[..., None]).sum(-1) - 1

        return ans.intervals(count, PRECISION, interval, find)

    def rounded(probability: np.ndarray) -> np.ndarray:
        table = np.maximum(1, np.floor(probability * (1 << PRECISION))).astype(np.int64)
        table[..., -1] += (1 << PRECISION) - table.sum(-1)
        return table

    codec = bits_back(
        posterior=lambda x: each(rounded(posterior.T)[x]),
        likelihood=lambda z: each(tables[z]),
        prior=ans.table_codec(prior, count, PRECISION),
    )
    return codec, -np.log2(joint.sum(0))


def test_bits_back_costs_the_marginal_likelihood() -> None:
    """With the exact posterior the bound is tight: a latent costs nothing."""
    count = 2000
    codec, bits = mixture(count)
    x = np.random.default_rng(1).choice(8, (2, count), p=2.0**-bits)
    message = filled_message(2, 4, 4000)
    check_codec(codec, message, x)
    message = filled_message(2, 4, 4000)
    before = content_bits(message)
    after = content_bits(codec.push(message, x))
    assert after - before == pytest.approx(bits[x].sum(), rel=0.01)


def test_a_prior_may_be_bits_back_itself() -> None:
    """As in Bit-Swap: x with z, z with a latent above it."""
    inner, _ = mixture(30)
    codec = bits_back(
        posterior=lambda x: symbols(int(x.sum()) % 5, 30),
        likelihood=lambda z: symbols(int(z.sum()) % 7, 30),
        prior=inner,
    )
    check_codec(codec, filled_message(2, 3, 400, ragged=True), drawn(2, 30))


def test_a_latent_takes_bits_off_the_message_first() -> None:
    """An empty message can't pay for the latent."""
    from drrpack.core.errors import MessageError

    codec, _ = mixture(30)
    with pytest.raises(MessageError):
        codec.push(ans.empty(1, 1), drawn(1, 30))
