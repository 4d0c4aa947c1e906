"""A network that grows: each phase adds stages of a ResNet, and the head sees those of all.

What DER (Yan et al., CVPR 2021) and MEMO (Zhou et al., ICLR 2023) have in common: DER adds a whole
ResNet for each phase, MEMO its deep blocks alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drrpack.trainers.learning.network import Linear, Network
from drrpack.trainers.learning.resnet import ResNet


class ExpandingResNet(Network):
    """A ResNet whose last stages exist once for each phase; their features stand side by side.

    Args:
        whole: makes what is cut into trunk and branches.
        classes: those of the whole run.
        width: filters of the first stage.
        branches: how many times the last stages exist.
        shared: how many of the stages, the stem included, all branches have in common; with 0 each
            branch is a whole ResNet.
        new: classes of the newest phase, which the auxiliary head tells from each other and from
            all old ones.
    """

    def __init__(
        self, whole: type[ResNet], classes: int, width: int, branches: int, shared: int, new: int
    ) -> None:
        super().__init__()
        self.seen = classes
        self.trunk = nn.ModuleList()  # one for all branches, or one for each
        self.branches = nn.ModuleList()
        for number in range(branches):
            one = whole(1, width)
            cut = sum(whole.stages[:shared])
            if shared == 0 or number == 0:
                pool = [nn.MaxPool2d(3, 2, 1)] if whole.large else []
                begin = (one.stem, one.bn, nn.ReLU(), *pool)
                self.trunk.append(nn.Sequential(*begin, *one.blocks[:cut]))
            self.branches.append(nn.Sequential(*one.blocks[cut:]))
            self.branch_size = one.feature_size
        self.feature_size = branches * self.branch_size
        self.head = Linear(self.feature_size, classes)
        self.auxiliary = Linear(self.branch_size, new + 1)  # 0: any old class

    def features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) float -> (B, branches * branch_size)."""
        trunks = [trunk(x) for trunk in self.trunk]
        found = [
            branch(trunks[min(number, len(trunks) - 1)])
            for number, branch in enumerate(self.branches)
        ]
        return torch.cat([one.mean((2, 3)) for one in found], 1)

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, feature_size) to logits (B, classes)."""
        return self.close(self.head(features))

    def tell_new(self, features: Tensor) -> Tensor:
        """The auxiliary logits (B, 1 + new) of the newest branch's features."""
        logits: Tensor = self.auxiliary(features[:, -self.branch_size :])
        return logits

    def newest(self) -> list[nn.Module]:
        """The parts that the newest phase trains, heads included."""
        own_trunk = [self.trunk[-1]] if len(self.trunk) == len(self.branches) else []
        return [*own_trunk, self.branches[-1], self.head, self.auxiliary]

    def take_over(self, last: ExpandingResNet) -> None:
        """Start from the network of the phase before: its branches, and for old features its head.
        The newest branch starts as a copy of the one before it."""
        for mine, theirs in zip(self.trunk, [*last.trunk, last.trunk[-1]], strict=False):
            mine.load_state_dict(theirs.state_dict())
        for mine, theirs in zip(self.branches, [*last.branches, last.branches[-1]], strict=True):
            mine.load_state_dict(theirs.state_dict())
        with torch.no_grad():
            self.head.weight[:, : last.feature_size] = last.head.weight
            self.head.bias.copy_(last.head.bias)


def auxiliary_loss(logits: Tensor, labels: Tensor, old: int) -> Tensor:
    """Cross-entropy of auxiliary logits (B, 1 + new) against labels (B,): 0 for all old classes."""
    return F.cross_entropy(logits.float(), (labels - old + 1).clamp(min=0))
