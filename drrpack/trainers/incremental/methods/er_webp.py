"""ER-WebP: replay of lossy WebP files, as many and as good as fit the same bytes."""

from __future__ import annotations

import numpy as np

from drrpack.trainers.comparison import peers
from drrpack.trainers.comparison.peers import Packed
from drrpack.trainers.incremental.methods.compressed import CompressedReplay
from drrpack.trainers.incremental.registry import register


@register
class WebPReplay(CompressedReplay):
    """Its container and headers are not counted."""

    name = "er-webp"
    qualities = tuple(tenth / 10 for tenth in range(951))  # 0 and 1 are 33 bytes an image apart

    @staticmethod
    def pack(images: np.ndarray, quality: float) -> Packed:
        return peers.LOSSY["WebP"].pack([images], quality)
