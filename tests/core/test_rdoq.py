"""Codes chosen by distance and price, against every other choice."""

from __future__ import annotations

import pytest
import torch
from small_models import CONTEXT, small_bitswap, small_vqvae
from torch import Tensor

from drrpack.core.entropy.bitswap import expected_bits
from drrpack.core.rdoq import Thrift, _spacing
from drrpack.core.vqvae import Quantiser

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = small_bitswap(config=CONTEXT)
VQVAE = small_vqvae()
IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def cost(codes: tuple[Tensor, Tensor], z: tuple[Tensor, Tensor], weight: float) -> Tensor:
    """Of the bottom codes of each image: distances, and the bits that the loss of a fit counts."""
    top, bottom = codes
    _, z_bottom = z
    distance = (VQVAE.bottom.embed(bottom) - z_bottom).square().sum((1, 2, 3))
    bits, _ = expected_bits(MODEL.bottom, bottom, top, torch.Generator())
    return distance + weight * _spacing(VQVAE.bottom) * bits


def chosen(weight: float) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The codes of the images, and the features that they stand for."""
    seen: list[Tensor] = []
    thrift = Thrift(MODEL, weight)

    def choose(quantiser: Quantiser, z: Tensor, top: Tensor | None) -> Tensor:
        seen.append(z)
        return thrift(quantiser, z, top)

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
    last = MODEL.bottom.phases.places[-1]
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
            bits = expected_bits(MODEL.bottom, codes[1], codes[0], torch.Generator())[0].sum()
        found.append((float(distance), float(bits)))
    nearest, thrifty = found
    assert thrifty[0] > nearest[0] and thrifty[1] < nearest[1]


def test_a_model_with_latents_is_refused() -> None:
    with pytest.raises(AssertionError, match="context model"):
        Thrift(small_bitswap(), 0.1)
