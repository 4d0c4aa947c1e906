"""ResNet-18 for small images against torchvision's, and at other sizes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from drrpack.trainers.learning.expanding import ExpandingResNet
from drrpack.trainers.learning.resnet import (
    ResNet18,
    ResNet18Large,
    ResNet18Medium,
    ResNet32,
    resnet18_for,
)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_width_64_is_the_well_known_network() -> None:
    models = pytest.importorskip("torchvision.models")
    reference = models.resnet18(num_classes=100)
    reference.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    reference.maxpool = nn.Identity()
    network = ResNet18(100, 64)
    assert parameters(network) == parameters(reference) == 11_220_132


def test_resnet32_is_the_published_one() -> None:
    network = ResNet32(10, 16)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert sum(m.kernel_size == (3, 3) for m in convolutions) + 1 == 32  # and the head
    # He et al. 2016, table 6: 0.46 million with shortcuts that have no weights; ours have 1x1
    # convolutions and batch norms
    shortcuts = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert parameters(network) == 464_154 + shortcuts
    with torch.inference_mode():
        assert network.eval().features(torch.zeros(2, 3, 32, 32)).shape == (2, 64)


def test_it_computes_what_torchvision_computes() -> None:
    models = pytest.importorskip("torchvision.models")
    reference = models.resnet18(num_classes=10)
    reference.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    reference.maxpool = nn.Identity()
    network = ResNet18(10, 64).eval()
    # the two list their tensors in the same order, save that torchvision's stem has other names
    ours, theirs = network.state_dict(), reference.state_dict()
    assert [value.shape for value in ours.values()] == [value.shape for value in theirs.values()]
    reference.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(network(x), reference.eval()(x), rtol=1e-4, atol=1e-4)


def test_the_large_one_is_torchvisions_own() -> None:
    models = pytest.importorskip("torchvision.models")
    reference, network = models.resnet18(num_classes=10), ResNet18Large(10, 64).eval()
    ours, theirs = network.state_dict(), reference.state_dict()
    reference.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
    x = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(network(x), reference.eval()(x), rtol=1e-4, atol=1e-4)
        assert [one.shape[2:] for one in network.maps(x)] == [(24, 16), (12, 8), (6, 4), (3, 2)]
        torch.testing.assert_close(network.pooled(network.maps(x)[-1]), network.features(x))


@pytest.mark.parametrize(
    ("size", "network", "side"),
    [
        ((32, 32), ResNet18, 32), ((48, 8), ResNet18, 48),
        ((8, 49), ResNet18Medium, 32), ((128, 128), ResNet18Medium, 32),
        ((129, 3), ResNet18Large, 16),
    ],
)  # fmt: skip
def test_the_stem_is_for_the_size(
    size: tuple[int, int], network: type[ResNet18], side: int
) -> None:
    """``side`` is what the stages see of 64x64 pixels, or of the 48x48 and 32x32 of a small one."""
    assert resnet18_for(size) is network
    pixels = side if network is ResNet18 else 64
    maps = network(3, 2).eval().maps(torch.zeros(1, 3, pixels, pixels))
    assert [one.shape[-1] for one in maps] == [side, side // 2, side // 4, side // 8]


def test_a_large_network_that_grows_sees_what_it_saw() -> None:
    one = ExpandingResNet(ResNet18Large, 5, 4, branches=1, shared=0, new=5).eval()
    two = ExpandingResNet(ResNet18Large, 5, 4, branches=2, shared=0, new=2).eval()
    two.take_over(one)
    plain = ResNet18Large(5, 4).eval()
    stem = dict(zip(plain.stem.state_dict(), one.trunk[0][0].state_dict().values(), strict=True))
    plain.stem.load_state_dict(stem)
    plain.bn.load_state_dict(one.trunk[0][1].state_dict())
    plain.blocks.load_state_dict(one.branches[0].state_dict())
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(one.features(x), plain.features(x))
        torch.testing.assert_close(two.features(x)[:, :32], one.features(x))


def test_narrow_networks_survive_their_backward_pass() -> None:
    """In a process of its own: with a stride in the 1x1 shortcut this died of a bad write."""
    code = (
        "import torch; from drrpack.trainers.learning.resnet import ResNet18\n"
        "torch.set_num_threads(2)\n"
        "x = torch.randn(239, 3, 32, 32).to(memory_format=torch.channels_last)\n"
        "ResNet18(5, 8).to(memory_format=torch.channels_last)(x).sum().backward()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("side", [4, 8, 9, 32, 40])
def test_any_size_goes(side: int) -> None:
    network = ResNet18(7, 4).eval()
    x = torch.zeros(2, 3, side, side + 1)
    with torch.inference_mode():
        assert network.features(x).shape == (2, network.feature_size) == (2, 32)
        assert network(x).shape == (2, 7)
        torch.testing.assert_close(network.head(network.features(x)), network(x))
