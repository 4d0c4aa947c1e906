"""The perceptual loss: what it measures, and that fitting it tells classes apart."""

from __future__ import annotations

import pytest
import torch
from small_models import small_vqvae

from drrpack.core.vqvae import grid_bits, to_float
from drrpack.trainers.fitting import vqvae as fit_vqvae
from drrpack.trainers.fitting.features import FeatureFit, Features
from drrpack.trainers.fitting.loop import Budget, fit
from drrpack.trainers.learning.resnet import ResNet18

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def features(seed: int = 0) -> Features:
    torch.manual_seed(seed)
    return Features(ResNet18(3, 4))


def pictures(count: int = 6, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 16, 16, 3), generator=generator, dtype=torch.uint8)


def test_five_maps_of_vectors_of_length_one() -> None:
    maps = features()(to_float(pictures()))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (4, 16, 16), (4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2),
    ]  # fmt: skip
    for each in maps:
        length = each.norm(dim=1)
        assert ((length - 1).abs() < 1e-4).logical_or(length == 0).all()


def test_the_last_map_is_what_the_classifier_averages() -> None:
    seen, images = features(), to_float(pictures())
    network = seen.network
    x = torch.relu(network.bn(network.stem(images * 2)))
    whole = torch.nn.functional.normalize(network.blocks(x), dim=1, eps=1e-6)
    assert torch.equal(seen(images)[-1], whole)


def test_distance() -> None:
    seen, images = features(), to_float(pictures())
    near = images + 0.01 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    far = to_float(pictures(seed=1))
    assert seen.distance(images, images) == 0
    assert 0 < seen.distance(near, images) < seen.distance(far, images) <= 4


def test_gradients_reach_the_output_alone() -> None:
    seen, wanted = features(), to_float(pictures()).requires_grad_()
    output = to_float(pictures(seed=1)).requires_grad_()
    seen.distance(output, wanted).backward()
    assert output.grad is not None and output.grad.abs().sum() > 0
    assert wanted.grad is None and all(p.grad is None for p in seen.parameters())


def test_it_learns_classes() -> None:
    """Bright left half against bright right half would be mirrored: upper and lower it is."""
    images, labels = pictures(64) // 2, torch.arange(64) % 2
    for image, label in zip(images, labels, strict=True):
        image[8 * int(label) : 8 * int(label) + 8] += 127
    torch.manual_seed(0)
    task = FeatureFit(images, labels, CPU, width=4)
    fit(task, torch.arange(64), Budget(epochs=12), batch_size=16, seed=0, fingerprint="")
    told = task.network.eval()((to_float(images)) * 2).argmax(1)
    assert (told == labels).float().mean() > 0.9
    assert not task.finish().network.training


def test_weights_on_the_grid_for_a_while() -> None:
    network = small_vqvae().requires_grad_(True)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.001)
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    with fit_vqvae.on_grid(network):
        for name, weight in network.named_parameters():
            if bits := grid_bits(network.config, name):
                assert torch.equal(weight * 2**bits, (weight * 2**bits).round()), name
        network.reconstruct(*(torch.randn(6, 8, n, n) for n in (2, 4))).sum().backward()
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name])
    assert network.decoder[0].weight.grad.abs().sum() > 0
