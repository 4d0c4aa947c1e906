"""A GAN of features: draws what a network would see in images of a class that are gone.

A conditional WGAN with gradient penalty (Gulrajani et al. 2017), as generative feature replay uses
it (Liu et al., CVPR workshops 2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drrpack.core.settings import own_settings
from drrpack.trainers.learning.network import Linear
from drrpack.trainers.learning.training import reproducible

SLOPE = 0.2  # of the leaky ReLUs
START_STD = 0.02  # of the weights
ADAM_BETAS = (0.5, 0.999)


class Generator(nn.Module):
    """Noise and a class to features, none of them negative."""

    def __init__(self, features: int, classes: int, noise: int, hidden: int) -> None:
        super().__init__()
        self.noise, self.classes = noise, classes
        self.layers = nn.Sequential(
            Linear(noise + classes, hidden), nn.LeakyReLU(SLOPE),
            Linear(hidden, hidden), nn.LeakyReLU(SLOPE),
            Linear(hidden, features), nn.ReLU(),
        )  # fmt: skip
        self.apply(_initialise)

    def draw(self, count: int, chance: torch.Generator) -> Tensor:
        """Noise (count, noise) to start from, on the CPU."""
        return torch.randn(count, self.noise, dtype=torch.float32, generator=chance)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Noise (B, noise) and labels (B,) to features (B, features)."""
        found: Tensor = self.layers(torch.cat([z, F.one_hot(labels, self.classes).float()], 1))
        return found


class Critic(nn.Module):
    """Features and a class to how real they look; the class counts by projection."""

    def __init__(self, features: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Linear(features, hidden), nn.LeakyReLU(SLOPE),
            Linear(hidden, hidden), nn.LeakyReLU(SLOPE),
        )  # fmt: skip
        self.real = Linear(hidden, 1)
        self.of_class = nn.Parameter(torch.empty(classes, hidden, dtype=torch.float32))
        self.apply(_initialise)
        nn.init.normal_(self.of_class, 0.0, START_STD)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (B, features) and labels (B,) to (B,)."""
        hidden = self.layers(features)
        found: Tensor = self.real(hidden)[:, 0] + (self.of_class[labels] * hidden).sum(1)
        return found


def new_gan(features: int, classes: int, noise: int, hidden: int) -> tuple[Generator, Critic]:
    """Both networks, untrained."""
    return Generator(features, classes, noise, hidden), Critic(features, classes, hidden)


@dataclass(frozen=True)
class GANSettings:
    """How a GAN is trained; the values are the published ones."""

    epochs: int = 501
    batch_size: int = 128
    learning_rate: float = 1e-4
    penalty: float = 10.0  # weight of the gradient penalty
    critic_steps: int = 5  # for each step of the generator
    kept: float = 1e-3  # weight of what the last generator drew, times ``old_factor``
    decay_share: float = 0.4  # of all epochs, after each of which the rates ...
    decay: float = 0.3  # ... are multiplied by this


@own_settings()
def train_gan(
    generator: Generator,
    critic: Critic,
    features: Tensor,
    labels: Tensor,
    settings: GANSettings,
    *,
    seed: int,
    device: torch.device,
    last: Generator | None = None,
    old: int = 0,
    old_factor: float = 1.0,
) -> None:
    """Train both networks, which are changed, on features (V, N, d) of images with labels (N,).

    Each epoch sees all images once, in one of V views, by turns.
    What the ``last`` generator draws of the first ``old`` classes is kept: the squared distance
    to it is part of the generator's loss.
    """
    chance = torch.Generator().manual_seed(seed)
    generator.to(device).train()
    critic.to(device).train()
    by_generator = _adam(generator, settings)
    by_critic = _adam(critic, settings)
    step = 0
    with reproducible(device):
        for epoch in range(settings.epochs):
            rate = settings.learning_rate * _decayed(settings, epoch)
            for optimiser in (by_generator, by_critic):
                optimiser.param_groups[0]["lr"] = rate
            view = features[epoch % len(features)]
            for rows in _batches(len(view), settings.batch_size, chance):
                real, own = view[rows].to(device), labels[rows].to(device)
                z = generator.draw(len(own), chance).to(device)
                with torch.no_grad():
                    drawn = generator(z, own)
                loss = critic(drawn, own).mean() - critic(real, own).mean()
                mixed = torch.rand(len(own), 1, dtype=torch.float32, generator=chance).to(device)
                penalty = gradient_penalty(critic, mixed * real + (1 - mixed) * drawn, own)
                _descend(by_critic, loss + settings.penalty * penalty)
                if step % settings.critic_steps == 0:
                    loss = -critic(generator(z, own), own).mean()
                    if last is not None:
                        before = torch.randint(old, (len(own),), generator=chance).to(device)
                        with torch.no_grad():
                            wanted = last(z, before)
                        moved = F.mse_loss(generator(z, before), wanted, reduction="sum")
                        loss = loss + settings.kept * old_factor * moved
                    _descend(by_generator, loss)
                step += 1


def gradient_penalty(critic: Critic, features: Tensor, labels: Tensor) -> Tensor:
    """How far the critic's gradients at features (B, d) are from length 1: the mean square."""
    at = features.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(at, labels).sum(), at, create_graph=True)
    lengths: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return (lengths - 1).square().mean()


def _adam(network: nn.Module, settings: GANSettings) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=ADAM_BETAS)


def _decayed(settings: GANSettings, epoch: int) -> float:
    return settings.decay ** int(epoch / max(1.0, settings.decay_share * settings.epochs))


def _batches(count: int, size: int, chance: torch.Generator) -> Iterator[Tensor]:
    yield from torch.split(torch.randperm(count, generator=chance), size)


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimiser.step()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, START_STD)
        nn.init.zeros_(module.bias)
