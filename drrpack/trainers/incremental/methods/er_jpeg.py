"""ER-JPEG: replay of JPEG files, as many and as good as fit the same bytes."""

from __future__ import annotations

import numpy as np

from drrpack.trainers.comparison import peers
from drrpack.trainers.comparison.peers import Packed
from drrpack.trainers.incremental.methods.compressed import CompressedReplay
from drrpack.trainers.incremental.registry import register


@register
class JPEGReplay(CompressedReplay):
    """4:2:0, standard tables; the tables are not counted."""

    name = "er-jpeg"
    qualities = tuple(range(5, 96))

    @staticmethod
    def pack(images: np.ndarray, quality: float) -> Packed:
        return peers.LOSSY["JPEG"].pack([images], quality)
