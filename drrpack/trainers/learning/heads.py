"""Heads: the last layer, from features to logits. The dense one is `drrpack...network.Linear`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineHead(nn.Module):
    """Logits are cosines between features and the vector of a class, times a learned scale.

    So no class has louder logits than another because its weights are longer (Hou et al., LUCIR,
    CVPR 2019, section 3.2). The scale starts at 1, as in their code.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features, dtype=torch.float32))
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float32))
        nn.init.uniform_(self.weight, -1 / math.sqrt(features), 1 / math.sqrt(features))

    def forward(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, classes)."""
        return self.scale * cosines(features, self.weight)


def cosines(features: Tensor, vectors: Tensor) -> Tensor:
    """Of each of the features (B, d) with each of the vectors (C, d): (B, C)."""
    return F.linear(F.normalize(features), F.normalize(vectors))
