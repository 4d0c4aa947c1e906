"""MEMO: a model or 603 exemplars (Zhou et al., ICLR 2023): only the deep blocks are added."""

from __future__ import annotations

import copy

import torch

from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.methods.expanding import ExpandingMethod
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.learning.expanding import ExpandingResNet


@register
class MEMO(ExpandingMethod):
    """As `DER`, but only the last stage of the ResNet is added for each phase. The other stages are
    those of the base, frozen, and all phases share them: what they see is general. (The authors'
    command for a base of ten classes trains these on as well.)

    In place of a second training of the head the vectors of new classes are scaled to the mean
    length of those of old ones (Zhao et al., CVPR 2020), as in the authors' code.
    """

    name = "memo"
    added = 1

    def rebalanced(self, context: PhaseContext, network: ExpandingResNet) -> ExpandingResNet:
        """A copy whose vectors of new classes are as long on average as those of old ones."""
        aligned = copy.deepcopy(network)
        old, seen = len(context.old), len(context.seen)
        with torch.no_grad():
            lengths = aligned.head.weight.norm(dim=1)
            aligned.head.weight[old:seen] *= lengths[:old].mean() / lengths[old:seen].mean()
        return aligned
