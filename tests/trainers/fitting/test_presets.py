"""Presets: the paper's networks, its losses by hand, and a real file made by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import SMALL_VQVAE
from tiny_memory import TINY_BITSWAP, encode_tiny, options_for, write_digits

from drrpack import DRRDataset
from drrpack.core.errors import OptionError
from drrpack.core.vqvae import VQVAE
from drrpack.formats.container import Reader
from drrpack.operations.encode_plan import plan_encode
from drrpack.trainers.fitting import presets
from drrpack.trainers.fitting.presets import OWN, PAPER
from drrpack.trainers.fitting.vqvae import VQVAEFit

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = torch.randint(256, (16, 8, 8, 3), generator=torch.Generator().manual_seed(0)).byte()


def test_the_papers_networks_have_the_papers_sizes() -> None:
    network = VQVAE(PAPER.vqvae)
    weights = sum(p.numel() for p in network.parameters())
    codebooks = network.top.codebook.numel() + network.bottom.codebook.numel()
    assert network.top.codebook.shape == network.bottom.codebook.shape == (512, 64)
    # table 3 of the paper: 5.81 MB for the VQ-VAE in single precision
    assert 4 * (weights + codebooks) / 2**20 == pytest.approx(5.81, rel=0.05)
    (bitswap,) = PAPER.entropy
    assert (bitswap.kind, bitswap.latents) == ("bitswap", 8)


def task(preset: presets.Preset) -> VQVAEFit:
    torch.manual_seed(0)
    config = replace(SMALL_VQVAE, weight_bits=0, codebook_bits=0, commitment=0.25)
    return VQVAEFit(VQVAE(config), torch.device("cpu"), preset=preset)


def steps(fit: VQVAEFit, count: int) -> None:
    for step in range(count):
        fit.step(IMAGES, 0.5, torch.Generator().manual_seed(step))


def test_the_learning_rate_stays() -> None:
    fit, rates = task(PAPER), []
    for step, fraction in enumerate((0.0, 0.01, 0.5, 0.99)):
        fit.step(IMAGES, fraction, torch.Generator().manual_seed(step))
        rates.append(fit.optimiser.param_groups[0]["lr"])
    assert rates == 4 * [3e-4]


def test_equations_2_to_4_by_hand() -> None:
    """The gradient of equation 3 is summed vector by vector; equation 4 moves the encoders."""
    fit = task(PAPER)
    steps(fit, 2)  # the codebooks are there from the second step on
    net = fit.network
    images = IMAGES.permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        features = net.encoder_bottom(images)
        z = net.to_top(net.encoder_top(features))
        codes = net.top.quantise(z)
        vectors, nearest = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]), codes.flatten()
        wanted = torch.zeros_like(net.top.codebook)
        for vector, code in zip(vectors, nearest.tolist(), strict=True):
            wanted[code] += 2 * (net.top.codebook[code] - vector) / vectors.numel()
    fit.optimiser.zero_grad(set_to_none=True)
    output, pulls, _ = fit._forward(images, torch.Generator(), len(images))
    pulls.backward()
    torch.testing.assert_close(net.top.codebook.grad, wanted, rtol=1e-4, atol=1e-7)
    for part in (net.encoder_bottom, net.encoder_top):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert all(p.grad is None for p in net.decoder.parameters()), "equation 2 alone moves it"
    assert output.requires_grad


def test_the_error_is_equation_2_alone_for_the_decoder() -> None:
    """The straight-through output gives codebooks no gradient."""
    fit = task(PAPER)
    steps(fit, 2)
    fit.optimiser.zero_grad(set_to_none=True)
    images = IMAGES.permute(0, 3, 1, 2).float() / 127.5 - 1
    output, _, _ = fit._forward(images, torch.Generator(), len(images))
    torch.nn.functional.mse_loss(output, images).backward()
    assert fit.network.top.codebook.grad is None and fit.network.bottom.codebook.grad is None
    assert all(p.grad is not None for p in fit.network.decoder.parameters())


def test_only_the_own_preset_has_moving_averages() -> None:
    for preset, moves in ((OWN, True), (PAPER, False)):
        fit = task(preset)
        steps(fit, 3)
        usage = fit.network.top.usage
        assert bool((usage != 1).any()) is moves
        finished = fit.finish()
        assert not finished.top.codebook.requires_grad


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    vqvae = replace(SMALL_VQVAE, weight_bits=0, codebook_bits=0)
    entropy = (TINY_BITSWAP,)
    tiny = replace(PAPER, vqvae=vqvae, entropy=entropy)
    monkeypatch.setitem(presets.PRESETS, "paper", tiny)


def test_a_file_by_the_paper(small: None, tmp_path: Path) -> None:
    source = write_digits(tmp_path / "digits", train=4, test=1)
    made = encode_tiny(source, tmp_path / "mem.drr", preset="paper", epochs=2)
    with Reader(made) as reader:
        log = reader.metadata["fit"]
        assert log["preset"] == "paper" and set(log["networks"]) == {
            "vqvae", "bitswap_top", "bitswap_bottom",
        }  # fmt: skip
        assert reader.metadata["quality"] == 100, "the nearest codes"
        assert reader.entropy_model.config["same_grid"] == TINY_BITSWAP.same_grid
    again = encode_tiny(source, tmp_path / "again.drr", codec=made)
    one, other = DRRDataset(made), DRRDataset(again)
    everything = np.arange(len(one))
    np.testing.assert_array_equal(one.pixels(everything), other.pixels(everything))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"preset": "papers"}, "`preset='papers'`: say one of drrpack, paper"),
        ({"preset": "paper", "fit": "no"}, "`preset` has no meaning unless"),
        ({"preset": "paper", "fit": "finetune"}, "`preset` has no meaning unless"),
        ({"preset": "paper", "family": "medium"}, "`preset='paper'` has a VQ-VAE of its own"),
        (
            {"preset": "paper", "entropy": "context"},
            "`entropy='context'`: `preset='paper'` has bit",
        ),
        ({"preset": "paper", "quality": 75}, "`quality=75`: only a context model"),
    ],
)
def test_what_does_not_go_with_it(tmp_path: Path, more: dict[str, str], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        plan_encode(options_for(tmp_path, tmp_path / "mem.drr", **more))
    assert words in str(caught.value)
