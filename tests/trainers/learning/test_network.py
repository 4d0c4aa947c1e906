"""The interface of networks: open heads, other heads and activations, frozen copies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from drrpack.trainers.learning.classifier import extract_features
from drrpack.trainers.learning.heads import CosineHead
from drrpack.trainers.learning.network import CLOSED, Linear, Network, new_network, snapshot
from drrpack.trainers.learning.recipes import get_recipe
from drrpack.trainers.learning.resnet import ResNet18
from drrpack.trainers.learning.training import train_network

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


class Flat(Network):
    """The smallest network that there is."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.feature_size, self.seen = 3, classes
        self.head = Linear(3, classes)

    def features(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def classify(self, features: Tensor) -> Tensor:
        return self.close(self.head(features))


def images(count: int = 6) -> Tensor:
    return torch.randint(256, (count, 8, 8, 3), generator=torch.Generator().manual_seed(0)).byte()


def test_another_network_trains() -> None:
    network = new_network(lambda: Flat(4), 0)
    found = train_network(
        network, images(), torch.arange(6) % 2, seen=2, recipe=get_recipe("fast", 3), seed=0,
        device=CPU,
    )  # fmt: skip
    assert len(found.log.losses) == 3 and found.network.seen == 2
    logits = found.network(torch.zeros(1, 3, 8, 8))[0]
    assert (logits[2:] == CLOSED).all() and (logits[:2] > CLOSED).all()


def test_a_seed_means_the_same_weights_and_the_random_state_stays() -> None:
    state = torch.get_rng_state()
    one, two, other = (new_network(lambda: Flat(4), seed) for seed in (1, 1, 2))
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_opening_a_head() -> None:
    network = Flat(4)
    x = torch.ones(1, 3, 2, 2)
    for seen in (1, 3, 4):
        network.open_head(seen)
        assert (network(x)[0] > CLOSED).tolist() == [label < seen for label in range(4)]


def test_cosine_head_by_numpy() -> None:
    network = new_network(lambda: ResNet18(4, 2, head=CosineHead), 0).eval()
    assert isinstance(network.head, CosineHead)
    with torch.no_grad():
        network.head.scale.fill_(7.0)
        x = torch.randn(5, 3, 8, 8)
        found, features = network(x).numpy(), network.features(x).numpy()
    vectors = network.head.weight.detach().numpy()
    for row, feature in zip(found, features, strict=True):
        for logit, vector in zip(row, vectors, strict=True):
            cosine = feature @ vector / (np.linalg.norm(feature) * np.linalg.norm(vector))
            assert math.isclose(logit, 7 * cosine, rel_tol=1e-4, abs_tol=1e-5)


def test_features_of_both_signs() -> None:
    cut = new_network(lambda: ResNet18(4, 2), 0).eval()
    signed = new_network(lambda: ResNet18(4, 2, last_relu=False), 0).eval()
    x = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        assert (cut.features(x) >= 0).all() and (signed.features(x) < 0).any()
    assert cut.state_dict().keys() == signed.state_dict().keys()


@pytest.mark.parametrize("training", [True, False])
def test_features_and_snapshots_leave_a_network_alone(training: bool) -> None:
    network = new_network(lambda: ResNet18(4, 2), 0).train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = extract_features(network, images(), CPU)
    teacher = snapshot(network, CPU)
    assert network.training is training and all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    one_by_one = [extract_features(network, image[None], CPU) for image in images()]
    torch.testing.assert_close(found, torch.cat(one_by_one), rtol=1e-4, atol=1e-5)
    assert found.dtype == torch.float32 and found.shape == (6, network.feature_size)
    with torch.no_grad():
        nn.init.zeros_(network.stem.weight)
    torch.testing.assert_close(extract_features(teacher, images(), CPU), found)
