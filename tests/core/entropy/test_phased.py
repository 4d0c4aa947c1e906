"""The likelihood in phases: what a code may see, and that its loss is right."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import CONTEXT, small_network, structured_codes

from drrpack.core.entropy.likelihood import Places
from drrpack.core.entropy.networks import BothLevels
from drrpack.core.entropy.phased import PhasedLevel
from drrpack.core.exact import exact_arithmetic
from drrpack.core.freezing import thaw
from drrpack.core.phases import SIDES

CPU = torch.device("cpu")


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

    def logits(network: BothLevels, number: int) -> torch.Tensor:
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


@pytest.mark.parametrize("side", SIDES)
def test_counting_some_images_is_right_on_average(side: int) -> None:
    torch.manual_seed(0)
    model = PhasedLevel(replace(CONTEXT, top_cell=side), conditioned=False)
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
