"""The interface of a classifier's network: images to features, and features to logits."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from drrpack.core.settings import seeded

CLOSED = -1e4  # a logit whose class has no probability, and finite, so that 0 times it is 0

# Layers in float32 whatever the process's default dtype is: see `drrpack.core.settings`.
Conv2d = partial(nn.Conv2d, dtype=torch.float32)
BatchNorm2d = partial(nn.BatchNorm2d, dtype=torch.float32)
Linear = partial(nn.Linear, dtype=torch.float32)

Head = Callable[[int, int], nn.Module]  # makes a layer from features to the logits of classes


class Network(nn.Module, ABC):
    """A network that a method may train: the interface behind which each architecture stands.

    A subclass sets ``feature_size`` and ``seen``, and implements `features` and `classify`.

    The head has all classes of a run from the start, of which the first ``seen`` are open; the
    logits of the others are `CLOSED`. So shapes are the same in every phase, and the weights of one
    phase fit into the network of the next.
    """

    feature_size: int  # what `features` gives for an image
    seen: int  # how many classes are open

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """What the head sees of normalised images: (B, 3, H, W) float -> (B, feature_size)."""

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Features (B, feature_size) to logits (B, classes), closed classes at `CLOSED`."""

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits: (B, 3, H, W) float -> (B, classes)."""
        return self.classify(self.features(x))

    def open_head(self, seen: int) -> None:
        """Open the first ``seen`` classes of the head, and close the others."""
        self.seen = seen

    def close(self, logits: Tensor) -> Tensor:
        """Logits (B, classes) with those of closed classes set to `CLOSED`."""
        closed = torch.arange(logits.shape[1], device=logits.device) >= self.seen
        return logits.masked_fill(closed, CLOSED)

    def compile_features(self) -> None:
        """Run `features` through torch.compile from now on; copies of this network do not.

        The head stays as it is, because its open classes change from phase to phase.
        """
        self.__dict__.pop("features", None)
        self.__dict__["features"] = torch.compile(self.features)

    def __getstate__(self) -> dict[str, object]:
        """What a copy takes over. The compiled `features` are bound to this very network."""
        return {name: value for name, value in self.__dict__.items() if name not in _OF_ONE_NETWORK}


_OF_ONE_NETWORK = ("features", "_compiled_call_impl")  # what torch.compile leaves in a module
AnyNetwork = TypeVar("AnyNetwork", bound=Network)


def new_network(make: Callable[[], AnyNetwork], seed: int) -> AnyNetwork:
    """What ``make`` gives, its weights drawn from ``seed`` on the CPU, so on every device the same.

    The global random state is left as it was.
    """
    with seeded(seed):
        return make()


def snapshot(network: AnyNetwork, device: torch.device) -> AnyNetwork:
    """A copy on ``device`` that no training changes: in eval mode, weights without gradients."""
    frozen = copy.deepcopy(network).eval().requires_grad_(False)
    frozen.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return frozen


@contextmanager
def running_moments_kept(network: nn.Module) -> Iterator[None]:
    """Batch norms in training leave their running moments alone while anybody is inside."""
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def state_bytes(network: nn.Module) -> int:
    """What a copy of a network takes: its parameters and buffers, in the types they have."""
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
