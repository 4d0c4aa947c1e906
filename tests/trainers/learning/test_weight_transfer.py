"""Weight transfer: kernels stay as they are, and each learns a factor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from drrpack.trainers.learning.network import new_network
from drrpack.trainers.learning.recipes import get_recipe
from drrpack.trainers.learning.resnet import ResNet18
from drrpack.trainers.learning.training import train_network
from drrpack.trainers.learning.weight_transfer import transferred, with_scales, without_scales

pytestmark = pytest.mark.usefixtures("one_thread")


def network() -> ResNet18:
    return new_network(lambda: ResNet18(4, 4), 0)


def images(count: int) -> Tensor:
    return torch.randint(256, (count, 8, 8, 3), generator=torch.Generator().manual_seed(0)).byte()


def trained() -> ResNet18:
    start = with_scales(network())
    return train_network(
        start, images(12), torch.arange(12) % 4, seen=4, recipe=get_recipe("fast", 4), seed=0,
        device=torch.device("cpu"), parameters=transferred,
    ).network  # fmt: skip


def test_factors_of_one_change_nothing() -> None:
    plain, x = network().eval(), torch.randn(2, 3, 8, 8)
    scaled = with_scales(plain)
    assert torch.equal(scaled(x), plain(x))
    assert len(list(plain.parameters())) < len(list(scaled.parameters())), "the given one is a copy"
    back = without_scales(scaled)
    assert back.state_dict().keys() == plain.state_dict().keys()
    for name, tensor in back.state_dict().items():
        assert torch.equal(tensor, plain.state_dict()[name]), name


def test_all_is_trained_but_the_kernels() -> None:
    scaled = with_scales(network())
    count = sum(parameter.numel() for parameter in transferred(scaled))
    plain = list(network().modules())
    kernels = [m.weight.numel() for m in plain if isinstance(m, nn.Conv2d)]
    factors = [m.weight.shape[0] * m.weight.shape[1] for m in plain if isinstance(m, nn.Conv2d)]
    assert count == sum(p.numel() for p in network().parameters()) - sum(kernels) + sum(factors)


def test_a_trained_kernel_is_a_multiple_of_what_it_was() -> None:
    found, before = without_scales(trained()), network()
    kernels = [name for name, part in found.named_modules() if isinstance(part, nn.Conv2d)]
    assert len(kernels) == 20  # of a ResNet-18
    for name in kernels:
        now, then = (one.get_submodule(name).weight.detach().numpy() for one in (found, before))  # type: ignore[union-attr,operator]
        factors = (now * then).sum((2, 3)) / (then * then).sum((2, 3))  # by least squares
        np.testing.assert_allclose(now, factors[:, :, None, None] * then, atol=1e-6)
        assert np.abs(factors - 1).max() > 1e-3, name


def test_the_same_is_computed_without_factors() -> None:
    scaled = trained().eval()
    plain, x = without_scales(scaled), torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(plain(x), scaled(x))
    assert plain.state_dict().keys() == network().state_dict().keys()
