"""Codes chosen by distance and price, against every other choice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_models import CONTEXT, SMALL, small_model, small_network, small_vqvae
from torch import Tensor

from drrpack.core.codes import Codes
from drrpack.core.entropy.context import ContextPrices
from drrpack.core.quantiser import Quantiser
from drrpack.core.rdoq import BEST, Thrift, _spacing, thrift

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = small_network(config=CONTEXT)
VQVAE = small_vqvae()
IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def cost(codes: tuple[Tensor, Tensor], z: tuple[Tensor, Tensor], weight: float) -> Tensor:
    """Of the bottom codes of each image: distances, and the bits that the loss of a fit counts."""
    top, bottom = codes
    _, z_bottom = z
    distance = (VQVAE.bottom.embed(bottom) - z_bottom).square().sum((1, 2, 3))
    bits = MODEL.bottom.expected_bits(bottom, top, torch.Generator())
    return distance + weight * _spacing(VQVAE.bottom) * bits


def chosen(weight: float) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The codes of the images, and the features that they stand for."""
    seen: list[Tensor] = []
    chooser = Thrift(ContextPrices(MODEL), weight)

    def choose(quantiser: Quantiser, z: Tensor, top: Tensor | None) -> Tensor:
        seen.append(z)
        return chooser(quantiser, z, top)

    with torch.inference_mode():
        codes = VQVAE.encode(IMAGES, choose)
    return codes, (seen[0], seen[1])


def test_bits_that_are_worth_nothing_leave_the_nearest_codes() -> None:
    with torch.inference_mode():
        top, bottom = VQVAE.encode(IMAGES)
    (thrifty_top, thrifty_bottom), _ = chosen(0.0)
    assert torch.equal(thrifty_top, top) and torch.equal(thrifty_bottom, bottom)


def test_no_other_last_code_costs_less() -> None:
    """The last code of a grid is context to no other, so its choice must be the best there is."""
    weight = 3.0
    (top, bottom), z = chosen(weight)
    last = MODEL.bottom.phased.phases.places[-1]
    with torch.inference_mode():
        best = cost((top, bottom), z, weight)
        for code in range(CONTEXT.codebook_size):
            other = bottom.clone()
            other[:, last[0] + 4, last[1]] = code
            assert (cost((top, other), z, weight) >= best - 1e-3).all()


def test_dearer_bits_save_bits_and_cost_distance() -> None:
    found = []
    for weight in (0.0, 30.0):
        codes, z = chosen(weight)
        with torch.inference_mode():
            distance = cost(codes, z, 0.0).sum()
            bits = MODEL.bottom.expected_bits(codes[1], codes[0], torch.Generator()).sum()
        found.append((float(distance), float(bits)))
    nearest, thrifty = found
    assert thrifty[0] > nearest[0] and thrifty[1] < nearest[1]


def test_the_nearest_codes_need_no_prices() -> None:
    prices = ContextPrices(MODEL)
    assert thrift(prices, BEST) is None and thrift(prices, None) is None
    assert thrift(None, 50) is None
    half, none = thrift(prices, 50), thrift(prices, 0)
    assert half is not None and none is not None and none.weight == 2 * half.weight


@pytest.mark.parametrize(("quality", "weight"), [(75, 0.1), (50, 0.2), (0, 0.4)])
def test_the_price_of_a_bit(quality: int, weight: float) -> None:
    """As docs/rate.md has it; a change would make another file of the same pictures."""
    found = thrift(ContextPrices(MODEL), quality)
    assert found is not None and found.weight == pytest.approx(weight, abs=1e-12)


def test_it_is_in_mean_squared_distances_to_the_nearest_other_code() -> None:
    quantiser = Quantiser(4, 2, 0.9)
    quantiser.codebook.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [4.0, 2.0]]))
    assert _spacing(quantiser) == pytest.approx((1 + 1 + 4 + 9) / 4)


def test_latents_hide_what_one_code_costs() -> None:
    codes = Codes.of(*(np.zeros((1, n, n), np.int64) for n in (2, 4)))
    assert small_model(codes, SMALL).prices is None
    assert small_model(codes, CONTEXT).prices is not None
