"""Codecs are made of models that somebody else may hold: nothing that goes in changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from small_models import CONTEXT, LATENTS, SMALL, SMALL_VQVAE, small_model, small_vqvae
from torch import Tensor, nn

from drrpack.core.codec import assemble, finish
from drrpack.core.codes import Codes
from drrpack.core.entropy.network_model import NetworkModel
from drrpack.core.entropy.networks import NetworkConfig
from drrpack.core.freezing import int_layers
from drrpack.core.int_layer import IntProduct
from drrpack.core.vqvae import VQVAE, as_stored

CPU = torch.device("cpu")
GRIDS = np.random.default_rng(0).integers(0, 32, (2, 6, 8, 8))
CODES = Codes.of(GRIDS[0, :, :4, :4], GRIDS[1])
KINDS = {"context": CONTEXT, "bitswap": LATENTS, "first bitswap": SMALL}


def tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()


def looks(network: nn.Module) -> list[tuple[object, ...]]:
    """All that can be seen of a network: what holds its numbers, and the kernels of its layers."""
    seen = [
        (id(one), one.data_ptr(), one.dtype, one.stride(), one.requires_grad, one.sum().item())
        for one in tensors(network)
    ]
    layers = int_layers(network).values()
    return [*seen, *((one.int8,) for one in layers if isinstance(one, IntProduct))]


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_the_parts_of_a_codec_stay_as_they_are(config: NetworkConfig) -> None:
    vqvae, model = small_vqvae(), small_model(CODES, config)
    before = looks(vqvae), looks(model.network)
    made = finish(vqvae, model, CODES, CPU)
    assemble(vqvae, made.pixels.bits, model, made.layouts, CPU, torch.float64)
    assert (looks(vqvae), looks(model.network)) == before
    assert isinstance(made.entropy, NetworkModel)
    for used, given in ((made.vqvae, vqvae), (made.entropy.network, model.network)):
        shared = {one.data_ptr() for one in tensors(used)} & {t.data_ptr() for t in tensors(given)}
        assert not shared


def test_two_codecs_of_one_model_have_their_own_carriers() -> None:
    model = small_model(CODES, CONTEXT)
    wide, narrow = (model.on(CPU, carrier) for carrier in (torch.float64, torch.float32))
    for one, carrier in ((wide, torch.float64), (narrow, torch.float32), (model, torch.float32)):
        assert one.network.bottom.output.frozen[0].dtype == carrier


def test_a_network_can_be_fitted_on_after_it_was_rounded() -> None:
    torch.manual_seed(0)
    network = VQVAE(SMALL_VQVAE)
    before = looks(network)
    stored = as_stored(network)
    assert looks(network) == before
    assert not any(one.requires_grad for one in stored.parameters())
    weight = stored.decoder[0].weight.double() * 2.0**SMALL_VQVAE.weight_bits
    assert torch.equal(weight, weight.round())
