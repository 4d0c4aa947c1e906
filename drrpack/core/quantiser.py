"""A codebook: vectors to the indices of the nearest codes, and back (paper section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Quantiser(nn.Module):
    """Nearest-neighbour codebook (equation 1), learned by moving averages instead of equation 3.

    ``usage`` and ``total`` are the averages: how often each code was chosen, and the sum of the
    vectors that chose it. Only ``codebook`` (K, D) is needed once the network is fitted.
    """

    codebook: Tensor
    usage: Tensor
    total: Tensor

    def __init__(self, size: int, dim: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        for name, shape in (("codebook", (size, dim)), ("usage", (size,)), ("total", (size, dim))):
            self.register_buffer(name, torch.empty(shape, dtype=torch.float32))
        if not self.codebook.is_meta:  # there PyTorch would import its compiler for a draw
            self.codebook.normal_()
        self.start_averages()

    def nearest(self, z: Tensor) -> Tensor:
        """Indices (M,) int64 of the codes nearest to the vectors ``z`` (M, D)."""
        return self._distances(z).argmin(1)

    def _distances(self, z: Tensor) -> Tensor:
        """Squared distances (M, K), but for the squared length of each ``z``."""
        return self.codebook.square().sum(1) - 2 * z @ self.codebook.t()

    def distances(self, z: Tensor) -> Tensor:
        """Of feature maps (B, D, H, W) from every code: squared, (B, H, W, K), and short of the
        squared length of each vector of ``z``, which all codes have in common."""
        b, d, h, w = z.shape
        return self._distances(z.permute(0, 2, 3, 1).reshape(-1, d)).view(b, h, w, -1)

    def quantise(self, z: Tensor) -> Tensor:
        """Feature maps (B, D, H, W) to codes (B, H, W) int64."""
        b, d, h, w = z.shape
        return self.nearest(z.permute(0, 2, 3, 1).reshape(-1, d)).view(b, h, w)

    def embed(self, codes: Tensor) -> Tensor:
        """Codes (B, H, W) to their vectors (B, D, H, W)."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    @torch.no_grad()
    def initialise(self, z: Tensor, generator: torch.Generator, rounds: int = 12) -> None:
        """Set the codebook by k-means over ``z`` (M, D), M at least the number of codes."""
        size = len(self.codebook)
        pick = torch.randperm(len(z), generator=generator)[:size].to(z.device)
        self.codebook.copy_(z[pick])
        for _ in range(rounds):
            nearest = self.nearest(z)
            count = torch.bincount(nearest, minlength=size).to(z.dtype)
            total = torch.zeros_like(self.codebook).index_add_(0, nearest, z)
            filled = count > 0
            self.codebook[filled] = total[filled] / count[filled, None]
        self.start_averages()

    def start_averages(self) -> None:
        """Set the moving averages as if each code had been chosen once."""
        self.usage.fill_(1.0)
        self.total.copy_(self.codebook)

    @torch.no_grad()
    def update(self, z: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """One step of the moving averages; a code that nobody chooses restarts at one of ``z``.

        ``z`` is (M, D), ``codes`` (M,). Laplace smoothing keeps the division safe.
        """
        size = len(self.codebook)
        count = torch.bincount(codes, minlength=size).to(z.dtype)
        total = torch.zeros_like(self.codebook).index_add_(0, codes, z)
        self.usage.lerp_(count, 1 - self.decay)
        self.total.lerp_(total, 1 - self.decay)
        mass = self.usage.sum()
        smooth = (self.usage + 1e-5) / (mass + size * 1e-5) * mass
        self.codebook.copy_(self.total / smooth[:, None])
        dead = (self.usage < 0.02 * mass / size).nonzero()[:, 0]
        if len(dead):
            pick = torch.randint(len(z), (len(dead),), generator=generator).to(z.device)
            self.codebook[dead] = z[pick]
            self.usage[dead] = mass / size
            self.total[dead] = z[pick] * (mass / size)
