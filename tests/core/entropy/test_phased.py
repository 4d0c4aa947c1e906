"""The likelihood in phases: what a code may see, and that its loss is right."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import CONTEXT, SMALL, small_network, structured_codes

from drrpack.core.entropy.context import ContextLevel
from drrpack.core.entropy.likelihood import Places
from drrpack.core.entropy.networks import BothLevels, NetworkConfig
from drrpack.core.exact import exact_arithmetic
from drrpack.core.freezing import int_layers, thaw
from drrpack.core.phases import SIDES

CPU = torch.device("cpu")


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_a_prediction_sees_only_earlier_phases(level: str) -> None:
    model = getattr(small_network(), level)
    phased = model.phased
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, 32, (1, 8, 8)))
    latent = torch.zeros(1, model.channels, 8, 8)
    above = torch.from_numpy(rng.integers(0, 32, (1, 4, 4)))
    grid = phased.phases.grid((8, 8), CPU)
    with exact_arithmetic(CPU):
        context = None if model.context is None else model.context(above)

        def logits(seen: torch.Tensor, number: int) -> torch.Tensor:
            return phased.logits(phased.places(number, seen, latent, context))

        for number in range(len(phased.phases)):
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

    def logits(network: BothLevels, number: int) -> torch.Tensor:
        model = getattr(network, level)
        phased = model.phased
        context = None if model.context is None else model.context(above)
        out: torch.Tensor = phased.logits(phased.places(number, codes, None, context))
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
        phased = model.phased
        numbers = phased.phases.within((5, 7))
        places = [phased.places(number, codes, latent, context) for number in numbers]
        together = phased.logits(Places.join(places))
        assert torch.equal(together, torch.cat([phased.logits(place) for place in places]))
    assert len(together) == codes.numel()


@pytest.mark.parametrize("config", [SMALL, CONTEXT], ids=["first bitswap", "context"])
def test_a_copy_predicts_by_its_own_layers(config: NetworkConfig) -> None:
    """What codes in phases computes with layers of its level, and with no others."""
    level = small_network(config=config).bottom
    copy = deepcopy(level)
    for layer in int_layers(copy).values():
        layer.load_arrays({key: 0 * array for key, array in layer.arrays().items()})
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 32, (1, 8, 8)))
    latent = torch.ones(1, level.channels, 8, 8) if config is SMALL else None
    context = torch.ones(1, config.width, 8, 8)
    with exact_arithmetic(CPU):
        own, others = (
            one.phased.logits(one.phased.places(3, codes, latent, context)) for one in (level, copy)
        )
    assert own.unique().numel() > 10 and not others.any()


@pytest.mark.parametrize("side", SIDES)
def test_counting_some_images_is_right_on_average(side: int) -> None:
    torch.manual_seed(0)
    phased = ContextLevel(replace(CONTEXT, top_cell=side), conditioned=False).phased
    codes = torch.from_numpy(structured_codes([24], (8, 8), 32)[0])
    noise = torch.Generator()

    def bits(counted: int) -> float:
        with torch.no_grad():
            samples = [
                phased.expected_bits(codes, None, None, noise.manual_seed(seed), counted).mean()
                for seed in range(40)
            ]
        return float(torch.stack(samples).mean())

    assert math.isclose(bits(13), bits(8 * 8), rel_tol=0.005)
