"""IB-DRR*: information back from raw images of new classes alone (paper, section 6.1)."""

from __future__ import annotations

from drrpack.trainers.incremental.methods.ib_drr import IBDRR
from drrpack.trainers.incremental.registry import register


@register
class IBDRRStar(IBDRR):
    """Keeps no raw images, like DRR; those of the new classes are available in their phase."""

    name = "ib-drr-star"
    needs = frozenset({"replayed", "raw_new"})
    keeps_exemplars = False
