"""The VQ-VAE has the paper's size, takes any image, and its codebooks stay in use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import SMALL_VQVAE
from torch import Tensor, nn

from drrpack.core.quantiser import Quantiser
from drrpack.core.vqvae import VQVAE, grid_shapes, pad, perplexity, to_float


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_the_network_has_the_papers_size() -> None:
    network = VQVAE()
    assert sum(p.numel() for p in network.parameters()) == 1_388_867
    assert network.top.codebook.shape == network.bottom.codebook.shape == (512, 64)
    stored = 1_388_867 + network.top.codebook.numel() + network.bottom.codebook.numel()
    assert round(4 * stored / 1e6, 2) == 5.82  # MB; the paper's table says 5.81


@pytest.mark.parametrize(
    ("stride", "size", "top", "bottom"),
    [
        (4, (32, 32), (4, 4), (8, 8)),
        (4, (8, 8), (1, 1), (2, 2)),
        (4, (1, 1), (1, 1), (2, 2)),
        (4, (30, 50), (4, 7), (8, 14)),
        (4, (224, 224), (28, 28), (56, 56)),
        (8, (64, 64), (4, 4), (8, 8)),
        (8, (1, 17), (1, 2), (2, 4)),
        (8, (224, 224), (14, 14), (28, 28)),
        (16, (128, 33), (4, 2), (8, 4)),
        (16, (224, 224), (7, 7), (14, 14)),
    ],
)
def test_shapes(
    stride: int, size: tuple[int, int], top: tuple[int, int], bottom: tuple[int, int]
) -> None:
    network = VQVAE(replace(SMALL_VQVAE, stride=stride))
    pixels = torch.randint(256, (2, *size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        codes = network.encode(pad(to_float(pixels), stride))
        images = network.decode(*codes)
    assert grid_shapes(*size, stride) == (top, bottom)
    assert (codes[0].shape, codes[1].shape) == ((2, *top), (2, *bottom))
    assert codes[0].dtype == codes[1].dtype == torch.int64
    assert images.shape == (2, 3, 2 * stride * top[0], 2 * stride * top[1])


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_a_code_sees_its_place(stride: int) -> None:
    """The middle of what a changed code changes is the square that it stands for."""
    torch.manual_seed(0)
    network = VQVAE(replace(SMALL_VQVAE, stride=stride))
    top, bottom = torch.zeros(1, 8, 8, dtype=torch.int64), torch.zeros(1, 16, 16, dtype=torch.int64)
    other = bottom.clone()
    other[0, 5, 9] = 1
    with torch.inference_mode():
        change = (network.decode(top, bottom) - network.decode(top, other)).abs().sum((0, 1))
    for changed, place in ((change.sum(1), 5), (change.sum(0), 9)):
        seen = changed.nonzero().flatten().double()
        assert float(seen.mean()) == pytest.approx((place + 0.5) * stride - 0.5)


@pytest.mark.parametrize(
    ("stride", "first", "widths"),
    [
        (4, 0, [3, 8, 16]), (8, 0, [3, 8, 16, 16]), (16, 0, [3, 8, 16, 16, 16]),
        (16, 4, [3, 4, 8, 16, 16]), (16, 2, [3, 2, 4, 8, 16]), (8, 16, [3, 16, 16, 16]),
        (16, 3, [3, 3, 6, 12, 16]),
    ],
)  # fmt: skip
def test_channels_rise_as_sides_are_halved(stride: int, first: int, widths: list[int]) -> None:
    config = replace(SMALL_VQVAE, stride=stride, first_channels=first)
    assert config.widths == widths
    network = VQVAE(config)
    halvings = [
        m for m in network.encoder_bottom if isinstance(m, nn.Conv2d) and m.stride == (2, 2)
    ]
    assert [m.out_channels for m in halvings] == widths[1:]
    doublings = network.decoder_layers.doublings
    assert [m.in_channels for m in doublings] == widths[:0:-1]
    assert doublings[-1].out_channels == 3


@pytest.mark.parametrize(("stride", "first"), [(4, 4), (16, 1), (8, 32), (16, -1)])
def test_channels_that_do_not_rise_to_all_are_refused(stride: int, first: int) -> None:
    with pytest.raises(ValueError, match="channels after the first halving"):
        replace(SMALL_VQVAE, stride=stride, first_channels=first)


@pytest.mark.parametrize("stride", [0, 2, 3, 12, 32])
def test_other_strides_are_refused(stride: int) -> None:
    with pytest.raises(ValueError, match=f"a stride of {stride}, expected one of"):
        replace(SMALL_VQVAE, stride=stride)


def test_larger_strides_are_stored_as_integers_alone() -> None:
    with pytest.raises(ValueError, match="a stride of 8 goes with weights on a grid"):
        replace(SMALL_VQVAE, stride=8, weight_bits=0, codebook_bits=0)
    with pytest.raises(ValueError, match="`first_channels` goes with weights on a grid"):
        replace(SMALL_VQVAE, first_channels=8, weight_bits=0, codebook_bits=0)


def test_padding_repeats_the_edge() -> None:
    images = torch.rand(2, 3, 30, 50)
    for stride, added in ((4, (2, 6)), (8, (2, 14))):
        padded = pad(images, stride)
        expected = np.pad(images.numpy(), ((0, 0), (0, 0), *((0, n) for n in added)), mode="edge")
        np.testing.assert_array_equal(padded.numpy(), expected)
        assert torch.equal(pad(padded, stride), padded)


def test_pixels_span_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(1, 1, 1, 3)
    assert to_float(pixels)[0, :, 0, 0].tolist() == pytest.approx([-1.0, 1.0, -0.6])


def test_the_nearest_code_is_that_of_brute_force() -> None:
    torch.manual_seed(0)
    quantiser = Quantiser(64, 5, 0.99)
    z = torch.randn(500, 5)
    wanted = (z[:, None].double() - quantiser.codebook.double()).norm(dim=2).argmin(1)
    assert torch.equal(quantiser.nearest(z), wanted)
    maps = z.reshape(5, 10, 10, 5).permute(0, 3, 1, 2)
    assert torch.equal(quantiser.quantise(maps), wanted.reshape(5, 10, 10))


def test_embedding_and_quantising_are_inverse() -> None:
    torch.manual_seed(0)
    quantiser = Quantiser(64, 5, 0.99)
    codes = torch.randint(64, (3, 4, 6))
    vectors = quantiser.embed(codes)
    assert vectors.shape == (3, 5, 4, 6)
    assert torch.equal(quantiser.quantise(vectors), codes)


def clusters(count: int, each: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Vectors about ``count`` distant centres, and the centres."""
    generator = seeded(seed)
    centres = 10 * torch.randn(count, 6, generator=generator)
    noise = 0.3 * torch.randn(count * each, 6, generator=generator)
    return centres.repeat_interleave(each, 0) + noise, centres


def test_k_means_puts_every_code_to_use() -> None:
    torch.manual_seed(0)
    quantiser = Quantiser(32, 6, 0.99)
    z, _ = clusters(16, 100)
    quantiser.initialise(z, seeded(1))
    codes = quantiser.nearest(z)
    assert len(codes.unique()) == 32
    assert perplexity(codes, 32) > 12
    error = (z - quantiser.codebook[codes]).square().mean()
    start = (z - z[torch.randperm(len(z), generator=seeded(1))[:32]][codes]).square().mean()
    assert error < 0.7 * start
    assert (quantiser.usage == 1).all() and torch.equal(quantiser.total, quantiser.codebook)


def test_k_means_is_at_rest_where_the_centres_are_the_means() -> None:
    torch.manual_seed(0)
    z, centres = clusters(4, 50, seed=3)
    quantiser = Quantiser(4, 6, 0.99)
    for seed in range(20):  # some start has one vector of each cluster
        quantiser.initialise(z, seeded(seed))
        if len(quantiser.nearest(centres).unique()) == 4:
            break
    order = quantiser.nearest(centres)
    means = z.reshape(4, 50, 6).mean(1)
    torch.testing.assert_close(quantiser.codebook[order], means, rtol=0, atol=1e-4)


def test_moving_averages_follow_the_vectors() -> None:
    torch.manual_seed(0)
    z, centres = clusters(8, 40)
    quantiser = Quantiser(8, 6, 0.9)
    quantiser.codebook.copy_(centres + 2.0)
    quantiser.total.copy_(quantiser.codebook)
    for _ in range(100):
        quantiser.update(z, quantiser.nearest(z), seeded(0))
    means = z.reshape(8, 40, 6).mean(1)
    torch.testing.assert_close(quantiser.codebook, means, rtol=0, atol=1e-2)


def test_codes_that_nobody_chooses_restart_among_the_vectors() -> None:
    torch.manual_seed(0)
    z, _ = clusters(8, 40)
    quantiser = Quantiser(8, 6, 0.01)
    quantiser.codebook.copy_(1000.0 + torch.randn(8, 6))
    quantiser.codebook[0] = z.mean(0)
    quantiser.total.copy_(quantiser.codebook)
    quantiser.update(z, quantiser.nearest(z), seeded(0))
    torch.testing.assert_close(quantiser.codebook[0], z.mean(0), rtol=0, atol=0.5)
    for code in quantiser.codebook[1:]:
        assert (z == code).all(1).any()
    assert perplexity(quantiser.nearest(z), 8) > 2


def test_codes_in_use_do_not_restart() -> None:
    torch.manual_seed(0)
    z, centres = clusters(8, 40)
    quantiser = Quantiser(8, 6, 0.9)
    quantiser.codebook.copy_(centres)
    quantiser.total.copy_(centres)
    for step in range(30):
        quantiser.update(z, quantiser.nearest(z), seeded(step))
        assert (quantiser.codebook - centres).abs().max() < 1


def test_perplexity() -> None:
    assert perplexity(torch.arange(16).repeat(3), 16) == pytest.approx(16)
    assert perplexity(torch.zeros(50, dtype=torch.int64), 16) == pytest.approx(1)
    assert perplexity(torch.tensor([0, 0, 1, 1]), 512) == pytest.approx(2)


def test_the_bottom_codes_depend_on_the_top() -> None:
    torch.manual_seed(0)
    network = VQVAE(SMALL_VQVAE)
    network.top.codebook.mul_(10.0)  # as after fitting: features and codes of like magnitude
    network.bottom.codebook.mul_(0.1)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        features = network.encoder_bottom(images)
        top, bottom = network.encode(images)
        for embedded, same in ((network.top.embed(top), True), (torch.zeros(2, 8, 4, 4), False)):
            codes = network.bottom.quantise(network.bottom_features(features, embedded))
            assert torch.equal(codes, bottom) == same
