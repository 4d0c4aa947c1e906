"""Networks with narrower embeddings: the same where nothing is lost, near where little is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_models import CONTEXT, LATENTS, SMALL, SMALL_VQVAE, small_vqvae
from torch import Tensor

from drrpack.core.entropy.bitswap import BitSwapLevel
from drrpack.core.entropy.networks import BothLevels, NetworkConfig
from drrpack.core.entropy.phased_bitswap import PhasedBitSwapLevel
from drrpack.core.vqvae import VQVAE
from drrpack.trainers.fitting.narrow import narrow_entropy, narrow_vqvae

pytestmark = pytest.mark.usefixtures("one_thread")

NARROW = 4


def of_rank(weight: Tensor, axis: int, rank: int = NARROW) -> Tensor:
    """The weights, with the vectors along one axis in a space of so many dimensions."""
    vectors = weight.movedim(axis, -1)
    axes = torch.linalg.qr(torch.randn(vectors.shape[-1], rank)).Q
    return (vectors @ axes @ axes.t()).movedim(-1, axis)


def vqvae_of_rank() -> VQVAE:
    network = small_vqvae()
    state = network.state_dict()
    for name, axis in (
        ("top.codebook", 1), ("bottom.codebook", 1), ("upsample_top.weight", 1),
    ):  # fmt: skip
        state[name] = of_rank(state[name], axis)
    state["upsample_top.bias"] = torch.zeros_like(state["upsample_top.bias"])
    network.load_state_dict(state)
    return network


def test_a_vqvae_that_uses_few_dimensions_stays_the_same() -> None:
    wide = vqvae_of_rank()
    narrow = narrow_vqvae(wide, NARROW)
    assert narrow.config == replace(SMALL_VQVAE, embedding=NARROW)
    images = torch.rand(6, 3, 32, 48) * 2 - 1
    codes = wide.encode(images)
    for found, expected in zip(narrow.encode(images), codes, strict=True):
        assert (found == expected).float().mean() > 0.99  # a tie may go the other way
    torch.testing.assert_close(narrow.decode(*codes), wide.decode(*codes), atol=1e-4, rtol=0)


def test_what_is_lost_is_small_where_dimensions_matter_little() -> None:
    """A tenth of the network is in the dimensions that go: a hundredth of the variance."""
    wide = small_vqvae()
    rest = vqvae_of_rank().state_dict()
    wide.load_state_dict(
        {name: 0.1 * tensor + 0.9 * rest[name] for name, tensor in wide.state_dict().items()}
    )
    codes = wide.encode(torch.rand(6, 3, 32, 32) * 2 - 1)
    expected = wide.decode(*codes)
    error = (narrow_vqvae(wide, NARROW).decode(*codes) - expected).square().mean()
    assert 0 < error < 0.01 * expected.var()


@pytest.mark.parametrize("config", [SMALL, CONTEXT, LATENTS], ids=["first", "context", "bitswap"])
def test_an_entropy_model_predicts_as_before(config: NetworkConfig) -> None:
    """But for rounding: logits are in sixteenths of a bit."""
    torch.manual_seed(3)
    wide = config.network()
    with torch.no_grad():
        for level in (wide.top, wide.bottom):
            level.embedding.weight.copy_(of_rank(level.embedding.weight, 1))
            level.output.weight.copy_(of_rank(level.output.weight, 1))
            level.likelihood.leave.weight.mul_(0.3)  # far from where integers are clamped
        assert wide.bottom.context is not None
        context = wide.bottom.context.embedding
        context.weight.copy_(of_rank(context.weight, 1))
    narrow = narrow_entropy(wide, NARROW)
    assert narrow.config == replace(config, embedding=NARROW)
    top = torch.randint(config.codebook_size, (8, 4, 4))
    bottom = torch.randint(config.codebook_size, (8, 8, 8))
    for name, codes, above in (("top", top, None), ("bottom", bottom, top)):
        found, expected = (logits(net, name, codes, above) for net in (narrow, wide))
        assert (found - expected).square().mean() < 0.5 + 0.03 * expected.var()


@torch.no_grad()
def logits(network: BothLevels, name: str, codes: Tensor, above: Tensor | None) -> Tensor:
    """Of the last phase, which sees all others, or of all codes where latents tell all."""
    level = getattr(network, name)
    latent = None
    context = None if level.context is None else level.context(above)
    if isinstance(level, BitSwapLevel):
        latent, _ = level.posterior(0, codes, context)
        found: Tensor = level.output(level.likelihood(latent.div(8).round(), context))
        return found
    if isinstance(level, PhasedBitSwapLevel):
        latent, _ = level.posterior(0, codes, context)
    phased = level.phased
    out: Tensor = phased.logits(phased.places(len(phased.phases) - 1, codes, latent, context))
    return out
