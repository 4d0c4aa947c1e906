"""Both forms of Bit-Swap give codes and the stack back, and cost what their loss says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_models import (
    CONTEXT,
    LATENTS,
    SMALL,
    check_codec,
    content_bits,
    filled_message,
    small_network,
    structured_codes,
)

from drrpack.core.entropy import bitswap
from drrpack.core.entropy.bitswap import WARM_UP, BitSwapLevel
from drrpack.core.entropy.latents import log2_mass
from drrpack.core.entropy.networks import LevelParts, NetworkConfig
from drrpack.core.exact import exact_arithmetic
from drrpack.core.freezing import freeze
from drrpack.core.probability import PRECISION, Logistic

CPU = torch.device("cpu")

TOP_SHAPES = [(1, 1), (1, 2), (2, 2), (3, 5), (4, 4)]


def grids(shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    return shape, (2 * shape[0], 2 * shape[1])


@pytest.mark.parametrize("config", [SMALL, LATENTS], ids=["with neighbours", "latents alone"])
@pytest.mark.parametrize("shape", TOP_SHAPES)
@pytest.mark.parametrize(("streams", "images", "lanes"), [(1, 1, 1), (3, 2, 4), (2, 5, 16)])
def test_both_levels_round_trip(
    config: NetworkConfig, shape: tuple[int, int], streams: int, images: int, lanes: int
) -> None:
    network = small_network(config=config)
    rng = np.random.default_rng(0)
    top_shape, bottom_shape = grids(shape)
    top = rng.integers(0, 32, (streams, images, *top_shape))
    bottom = rng.integers(0, 32, (streams, images, *bottom_shape))
    message = filled_message(streams, lanes, 3000, ragged=True)
    above = torch.from_numpy(top.reshape(-1, *top_shape))
    with exact_arithmetic(CPU):
        check_codec(network.top.coder(top.shape, None), message, top)
        check_codec(network.bottom.coder(bottom.shape, above), message, bottom)


@pytest.mark.parametrize("config", [SMALL, LATENTS])
def test_the_top_matters_to_the_bottom(config: NetworkConfig) -> None:
    network = small_network(config=config)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 32, (1, 2, 4, 4))
    words = []
    for seed in (1, 2):
        top = torch.from_numpy(np.random.default_rng(seed).integers(0, 32, (2, 2, 2)))
        with exact_arithmetic(CPU):
            codec = network.bottom.coder(codes.shape, top)
            words.append(check_codec(codec, filled_message(1, 2, 2000), codes)[0])
    assert len(words[0]) != len(words[1]) or (words[0] != words[1]).any()


def test_the_network_must_be_frozen() -> None:
    nothing = np.zeros((1, 1, 2, 2), dtype=np.int64)
    for config in (SMALL, CONTEXT, LATENTS):
        model = config.network().top
        with exact_arithmetic(CPU), pytest.raises(AssertionError, match="freeze"):
            model.coder((1, 1, 2, 2), None).push(filled_message(1, 1, 500), nothing)


@pytest.mark.parametrize("config", [SMALL, LATENTS])
def test_a_codebook_gives_the_start_its_geometry(config: NetworkConfig) -> None:
    torch.manual_seed(0)
    codebook = 3.0 * torch.randn(32, 12) + 5.0
    codebook[7] = codebook[3] + 0.01
    network = config.network()
    frequency = torch.arange(1.0, 33.0)
    network.start_from((codebook, codebook), (frequency, frequency))
    table = network.top.embedding.weight.detach()
    distance = (table[3] - table).norm(dim=1)
    distance[3] = np.inf
    assert int(distance.argmin()) == 7
    assert network.bottom.context is not None
    assert torch.equal(network.bottom.context.embedding.weight, table)
    with torch.no_grad():
        vectors = network.top.embedding.quantised()
        logits = network.top.output(vectors)
        nothing = network.top.output(0 * vectors[:1])[0]
    alike = torch.corrcoef(torch.stack([(logits - nothing).flatten(), (table @ table.T).flatten()]))
    assert alike[0, 1] > 0.99
    share = torch.softmax(nothing * (math.log(2) / 16), 0)
    torch.testing.assert_close(share, frequency / frequency.sum(), rtol=0.05, atol=0)


def test_the_last_prior_comes_back() -> None:
    model = small_network().top
    kept = model.last_integers()
    assert kept.any()
    other = small_network(seed=5).top
    other.load_last(kept.astype(np.int16))
    np.testing.assert_array_equal(other.last_integers(), kept)


# --- the loss is the size ---


def briefly_fitted(
    codes: torch.Tensor,
    tops: torch.Tensor | None,
    steps: int = 60,
    config: NetworkConfig = SMALL,
    codebook: torch.Tensor | None = None,
) -> LevelParts:
    """A level after a few steps on (n, H, W) codes, frozen."""
    torch.manual_seed(0)
    network = config.network()
    if codebook is not None:
        frequency = torch.bincount(codes.flatten(), minlength=len(codebook))
        network.start_from((codebook, codebook), (frequency, frequency))
    model = network.top if tops is None else network.bottom
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        pick = torch.randint(len(codes), (32,), generator=generator)
        above = None if tops is None else tops[pick]
        bits, _ = model.loss(codes[pick], above, generator, step / steps)
        optimiser.zero_grad()
        bits.mean().backward()
        optimiser.step()
    freeze(model)
    return model


def coded_bits(model: LevelParts, codes: np.ndarray, tops: torch.Tensor | None) -> float:
    """Net bits of (streams, images, H, W) on a stack that is full already."""
    message = filled_message(len(codes), 8, 3000)
    before = content_bits(message)
    with exact_arithmetic(CPU):
        message = model.coder(codes.shape, tops).push(message, codes)
    return content_bits(message) - before


@pytest.mark.parametrize("config", [SMALL, LATENTS], ids=["with neighbours", "latents alone"])
@pytest.mark.parametrize("level", ["top", "bottom"])
@pytest.mark.parametrize("fitted", [False, True])
def test_coded_size_is_the_expected_size(config: NetworkConfig, level: str, fitted: bool) -> None:
    shape = (4, 4)
    codes = structured_codes([64] * 4, shape, 32)
    flat = torch.from_numpy(np.concatenate(codes))
    tops = flat[:, ::2, ::2].contiguous() if level == "bottom" else None
    model = briefly_fitted(flat, tops, 60 if fitted else 0, config)
    actual = coded_bits(model, np.stack(codes), tops)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        samples = [model.expected_bits(flat, tops, generator).sum() for _ in range(8)]
    expected = float(torch.stack(samples).mean())
    # the coder has a floor for latents far from where p puts them, which happens before fitting
    assert math.isclose(actual, expected, rel_tol=0.02 if fitted else 0.04)
    if fitted:  # and is no accident of a loss that says nothing
        start = briefly_fitted(flat, tops, 0, config)
        assert actual < 0.9 * coded_bits(start, np.stack(codes), tops)


@pytest.mark.parametrize("z", [-63, 0, 40, 62, 63,
                               -64])  # fmt: skip
def test_the_mass_in_the_loss_is_the_mass_in_the_coder(z: int) -> None:
    mean, scale = torch.tensor([[[[450.0]]]]), torch.tensor([[[[50.0]]]])
    mean = mean if z > 0 else -mean
    logistic = Logistic(mean.numpy().reshape(1, 1).astype(int), np.array([[50]]))
    _, length = logistic.interval(np.array([[z]]), slice(None))
    coded = float(np.log2(length / 2**PRECISION)[0, 0])
    assert math.isclose(
        float(log2_mass(torch.full_like(mean, z), mean, scale)), coded, abs_tol=0.05
    )


# --- latents alone ---


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_rows_of_codes_may_be_coded_apart(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitswap, "CODED_AT_ONCE", 12)  # two rows of two images, and the rest
    model = getattr(small_network(config=LATENTS), level)
    codes = np.random.default_rng(0).integers(0, 32, (2, 2, 5, 3))
    above = torch.from_numpy(codes[..., ::2, ::2].reshape(-1, 3, 2).copy())
    above = above if level == "bottom" else None
    if above is not None:
        codes = np.random.default_rng(1).integers(0, 32, (2, 2, 6, 4))
    with exact_arithmetic(CPU):
        check_codec(model.coder(codes.shape, above), filled_message(2, 4, 3000), codes)


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_latents_tell_what_codes_have_in_common(level: str) -> None:
    """Each image uses four codes of its own that are alike; another image's latents say others."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 29, (256, 1, 1))
    codes = torch.from_numpy(first + rng.integers(0, 4, (256, 4, 4)))
    tops = torch.zeros(256, 2, 2, dtype=torch.int64) if level == "bottom" else None
    codebook = torch.stack([torch.arange(32.0), torch.zeros(32)], 1)
    model = briefly_fitted(codes, tops, 150, LATENTS, codebook)
    assert isinstance(model, BitSwapLevel)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        context = model.contexts(tops)[0]
        mean, _ = model.posterior(0, codes, context)
        latent = (mean / 8).round()
        own = model.code_bits(codes, latent, context, generator).mean() / 16
        others = model.code_bits(codes, latent.roll(1, 0), context, generator).mean() / 16
        spent = model.expected_bits(codes, tops, generator).mean() / 16
    assert own + 0.3 < others
    assert spent < 4.3  # 4.9 bits without latents


def test_a_fit_counts_little_of_the_latents_at_first() -> None:
    model = small_network(config=LATENTS).top
    assert isinstance(model, BitSwapLevel)
    codes = torch.from_numpy(structured_codes([8], (4, 4), 32)[0])

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    whole = model.expected_bits(codes, None, generator())
    of_codes, of_latents = model.parts_of_bits(codes, None, generator())
    start, told = model.loss(codes, None, generator(), 0.0)
    torch.testing.assert_close(start, of_codes + 0.03 * of_latents)
    torch.testing.assert_close(told, whole)
    for fraction in (WARM_UP, 1.0):
        torch.testing.assert_close(model.loss(codes, None, generator(), fraction)[0], whole)


def test_counting_some_codes_of_a_large_grid_is_right_on_average() -> None:
    model = small_network(config=LATENTS).top
    assert isinstance(model, BitSwapLevel)
    codes = torch.from_numpy(structured_codes([6], (13, 15), 32)[0])
    latent = torch.from_numpy(np.random.default_rng(0).integers(-9, 9, (6, 2, 13, 15))).float()
    noise = torch.Generator()
    with torch.no_grad():
        some = [model.code_bits(codes, latent, None, noise.manual_seed(n)) for n in range(60)]
        vectors = model.likelihood(latent, None)
        table = torch.log_softmax(model.output(vectors) * (math.log(2) / 16), 1)
        every = -table.gather(1, codes.reshape(-1, 1)).view(6, -1).sum(1) / math.log(2)
    torch.testing.assert_close(torch.stack(some).mean(0), every, rtol=0.02, atol=0)
