"""Bit-Swap gives the codes and the stack back, and costs what its loss says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import (
    CONTEXT,
    SMALL,
    check_codec,
    filled_message,
    small_network,
    structured_codes,
)

from drrpack.core import ans
from drrpack.core.entropy.bitswap import BitSwapNetwork, _log2_mass
from drrpack.core.entropy.likelihood import Places
from drrpack.core.entropy.phased import LevelNetwork, PhasedNetwork
from drrpack.core.exact import exact_arithmetic
from drrpack.core.freezing import freeze, thaw
from drrpack.core.phases import SIDES
from drrpack.core.probability import PRECISION, Logistic

CPU = torch.device("cpu")

TOP_SHAPES = [(1, 1), (1, 2), (2, 2), (3, 5), (4, 4)]


def grids(shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    return shape, (2 * shape[0], 2 * shape[1])


@pytest.mark.parametrize("shape", TOP_SHAPES)
@pytest.mark.parametrize(("streams", "images", "lanes"), [(1, 1, 1), (3, 2, 4), (2, 5, 16)])
def test_both_levels_round_trip(
    shape: tuple[int, int], streams: int, images: int, lanes: int
) -> None:
    network = small_network()
    rng = np.random.default_rng(0)
    top_shape, bottom_shape = grids(shape)
    top = rng.integers(0, 32, (streams, images, *top_shape))
    bottom = rng.integers(0, 32, (streams, images, *bottom_shape))
    message = filled_message(streams, lanes, 3000, ragged=True)
    above = torch.from_numpy(top.reshape(-1, *top_shape))
    with exact_arithmetic(CPU):
        check_codec(network.top.coder(top.shape, None), message, top)
        check_codec(network.bottom.coder(bottom.shape, above), message, bottom)


def test_the_top_matters_to_the_bottom() -> None:
    network = small_network()
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
    for config in (SMALL, CONTEXT):
        model = config.network().top
        with exact_arithmetic(CPU), pytest.raises(AssertionError, match="freeze"):
            model.coder((1, 1, 2, 2), None).push(filled_message(1, 1, 500), nothing)


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_a_prediction_sees_only_earlier_phases(level: str) -> None:
    model = getattr(small_network(), level)
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, 32, (1, 8, 8)))
    latent = torch.zeros(1, model.channels, 8, 8)
    above = torch.from_numpy(rng.integers(0, 32, (1, 4, 4)))
    grid = model.phases.grid((8, 8), CPU)
    with exact_arithmetic(CPU):
        context = None if model.context is None else model.context(above)

        def logits(seen: torch.Tensor, number: int) -> torch.Tensor:
            return model.logits(model.places(number, seen, latent, context))

        for number in range(len(model.phases)):
            found = logits(codes, number)
            later = torch.where(grid >= number, (codes + 1) % 32, codes)
            assert torch.equal(logits(later, number), found)
            if number:
                earlier = torch.where(grid < number, (codes + 1) % 32, codes)
                assert not torch.equal(logits(earlier, number), found)


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_a_frozen_model_says_what_it_said_in_fitting(level: str) -> None:
    frozen, fitted = small_network(config=CONTEXT), small_network(config=CONTEXT)
    thaw(fitted)
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, 32, (3, 8, 8)))
    above = torch.from_numpy(rng.integers(0, 32, (3, 4, 4)))

    def logits(network: PhasedNetwork, number: int) -> torch.Tensor:
        model = getattr(network, level)
        context = None if model.context is None else model.context(above)
        out: torch.Tensor = model.logits(model.places(number, codes, None, context))
        return out

    for number in range(16):
        assert torch.equal(logits(frozen, number), logits(fitted, number))


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_phases_side_by_side_are_phases_one_by_one(level: str) -> None:
    model = getattr(small_network(), level)
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, 32, (3, 5, 7)))
    latent = torch.from_numpy(rng.integers(-9, 9, (3, model.channels, 5, 7))).float()
    with exact_arithmetic(CPU):
        context = None
        if model.context is not None:
            above = torch.from_numpy(rng.integers(0, 32, (3, 3, 4)))
            context = model.context(above)[..., :5, :7]
        numbers = model.phases.within((5, 7))
        places = [model.places(number, codes, latent, context) for number in numbers]
        together = model.logits(Places.join(places))
        assert torch.equal(together, torch.cat([model.logits(place) for place in places]))
    assert len(together) == codes.numel()


def test_a_codebook_gives_the_start_its_geometry() -> None:
    torch.manual_seed(0)
    codebook = 3.0 * torch.randn(32, 12) + 5.0
    codebook[7] = codebook[3] + 0.01
    network = BitSwapNetwork(SMALL)
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


def briefly_fitted(codes: torch.Tensor, tops: torch.Tensor | None, steps: int = 60) -> LevelNetwork:
    """A level after a few steps on (n, H, W) codes, frozen."""
    torch.manual_seed(0)
    network = BitSwapNetwork(SMALL)
    model = network.top if tops is None else network.bottom
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        pick = torch.randint(len(codes), (32,), generator=generator)
        bits = model.expected_bits(codes[pick], None if tops is None else tops[pick], generator)
        optimiser.zero_grad()
        bits.mean().backward()
        optimiser.step()
    freeze(model)
    return model


def coded_bits(model: LevelNetwork, codes: np.ndarray, tops: torch.Tensor | None) -> float:
    """Net bits of (streams, images, H, W) on a stack that is full already."""
    message = filled_message(len(codes), 8, 3000)
    before = content_bits(message)
    with exact_arithmetic(CPU):
        message = model.coder(codes.shape, tops).push(message, codes)
    return content_bits(message) - before


def content_bits(message: ans.Message) -> float:
    heads = np.log2(message.head.astype(np.float64)).sum()
    return float(heads + 32 * message.tail_words.sum())


@pytest.mark.parametrize("level", ["top", "bottom"])
@pytest.mark.parametrize("fitted", [False, True])
def test_coded_size_is_the_expected_size(level: str, fitted: bool) -> None:
    shape = (4, 4)
    codes = structured_codes([64] * 4, shape, 32)
    flat = torch.from_numpy(np.concatenate(codes))
    tops = flat[:, ::2, ::2].contiguous() if level == "bottom" else None
    model = briefly_fitted(flat, tops, steps=60 if fitted else 0)
    actual = coded_bits(model, np.stack(codes), tops)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        samples = [model.expected_bits(flat, tops, generator).sum() for _ in range(8)]
    expected = float(torch.stack(samples).mean())
    # the coder has a floor for latents far from where p puts them, which happens before fitting
    assert math.isclose(actual, expected, rel_tol=0.02 if fitted else 0.04)
    if fitted:  # and is no accident of a loss that says nothing
        start = briefly_fitted(flat, tops, steps=0)
        assert actual < 0.9 * coded_bits(start, np.stack(codes), tops)


@pytest.mark.parametrize("side", SIDES)
def test_counting_some_images_is_right_on_average(side: int) -> None:
    torch.manual_seed(0)
    model = LevelNetwork(replace(CONTEXT, top_cell=side), conditioned=False)
    codes = torch.from_numpy(structured_codes([24], (8, 8), 32)[0])
    noise = torch.Generator()

    def bits(counted: int) -> float:
        with torch.no_grad():
            samples = [
                model.code_bits(codes, None, None, noise.manual_seed(seed), counted).mean()
                for seed in range(40)
            ]
        return float(torch.stack(samples).mean())

    assert math.isclose(bits(13), bits(8 * 8), rel_tol=0.005)


@pytest.mark.parametrize("z", [-63, 0, 40, 62, 63,
                               -64])  # fmt: skip
def test_the_mass_in_the_loss_is_the_mass_in_the_coder(z: int) -> None:
    mean, scale = torch.tensor([[[[450.0]]]]), torch.tensor([[[[50.0]]]])
    mean = mean if z > 0 else -mean
    logistic = Logistic(mean.numpy().reshape(1, 1).astype(int), np.array([[50]]))
    _, length = logistic.interval(np.array([[z]]), slice(None))
    coded = float(np.log2(length / 2**PRECISION)[0, 0])
    assert math.isclose(
        float(_log2_mass(torch.full_like(mean, z), mean, scale)), coded, abs_tol=0.05
    )
