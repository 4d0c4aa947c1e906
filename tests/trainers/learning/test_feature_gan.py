"""The GAN of features: its penalty by hand, and what it draws after a training."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from drrpack.trainers.learning.feature_gan import (
    Critic,
    GANSettings,
    Generator,
    gradient_penalty,
    train_gan,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
QUICK = GANSettings(epochs=500, batch_size=30, learning_rate=1e-3, critic_steps=2)
CENTRES = torch.eye(3).repeat_interleave(6, 1).repeat(1, 2)  # six places in each half for a class
FEATURES = CENTRES.shape[1]


def test_the_gradient_penalty_by_hand() -> None:
    critic = Critic(features=3, classes=2, hidden=4)
    for layer in (critic.layers[0], critic.layers[2]):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.constant_(layer.bias, 10.0)  # so that the leaky ReLUs are straight lines
    weight = torch.tensor([[1.0, 2.0, 0.0, 5.0]])
    critic.real.weight.data = weight
    critic.of_class.data = torch.tensor([[0.0, 0.0, 2.0, 5.0], [-1.0, -1.0, 0.0, 5.0]])
    at = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1])
    # the gradient is (1, 2, 2), of length 3, for class 0, and (0, 1, 0), of length 1, for class 1
    assert gradient_penalty(critic, at, labels).item() == pytest.approx(((3 - 1) ** 2 + 0) / 2)


def features(*classes: int) -> tuple[Tensor, Tensor]:
    """Two views of 60 images of each class."""
    labels = torch.tensor(classes).repeat_interleave(60)
    noise = torch.randn(2, len(labels), FEATURES, generator=torch.Generator().manual_seed(0))
    return (CENTRES[labels] + 0.2 * noise).relu(), labels


def new_gan() -> tuple[Generator, Critic]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Generator(FEATURES, 3, noise=4, hidden=32), Critic(FEATURES, 3, hidden=32)


def drawn(generator: Generator, label: int) -> Tensor:
    z = torch.randn(200, generator.noise, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return generator(z, torch.full((200,), label))


def gaps(generator: Generator, label: int) -> Tensor:
    """How far the mean of what it draws of a class is from the centre of each class."""
    return (CENTRES - drawn(generator, label).mean(0)).norm(dim=1)


@pytest.mark.slow
def test_it_draws_each_class_where_its_features_are() -> None:
    generator, critic = new_gan()
    train_gan(generator, critic, *features(0, 1), QUICK, seed=1, device=CPU)
    for label in (0, 1):
        found = gaps(generator, label)
        assert found.argmin() == label
        assert float(found[label]) < 0.6 * float(found.sort().values[1])
        assert float(drawn(generator, label).min()) >= 0


@pytest.mark.slow
def test_it_keeps_what_the_last_one_drew() -> None:
    first, critic = new_gan()
    train_gan(first, critic, *features(0, 1), QUICK, seed=1, device=CPU)
    moved = {}
    for kept in (True, False):
        generator, own_critic = copy.deepcopy(first), copy.deepcopy(critic)
        last = copy.deepcopy(first) if kept else None
        settings = replace(QUICK, kept=0.05)
        train_gan(
            generator, own_critic, *features(2), settings, seed=2, device=CPU,
            last=last, old=2, old_factor=2.0,
        )  # fmt: skip
        assert gaps(generator, 2).argmin() == 2
        moved[kept] = max(
            float((drawn(generator, c) - drawn(first, c)).norm(dim=1).mean()) for c in (0, 1)
        )
    assert moved[True] < 0.3 * moved[False]


def test_epochs_see_views_by_turns() -> None:
    seen, labels = features(0)
    by_views = {}
    for name, views in (("both", seen), ("again", seen), ("first", seen[:1]), ("second", seen[1:])):
        for epochs in (1, 2):
            generator, critic = new_gan()
            settings = replace(QUICK, epochs=epochs)
            train_gan(generator, critic, views, labels, settings, seed=1, device=CPU)
            by_views[name, epochs] = critic.real.weight.detach().clone()
    assert torch.equal(by_views["both", 1], by_views["first", 1])
    assert not torch.equal(by_views["both", 1], by_views["second", 1])
    assert not torch.equal(by_views["both", 2], by_views["first", 2])
    assert torch.equal(by_views["both", 2], by_views["again", 2])


def test_it_is_the_same_each_time_and_leaves_the_random_state() -> None:
    state, found = torch.get_rng_state(), []
    for _ in range(2):
        generator, critic = new_gan()
        train_gan(generator, critic, *features(0), replace(QUICK, epochs=2), seed=1, device=CPU)
        found.append(drawn(generator, 0))
    assert torch.equal(*found)
    assert torch.equal(torch.get_rng_state(), state)
