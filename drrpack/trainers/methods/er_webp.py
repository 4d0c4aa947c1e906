"""ER-WebP: replay of lossy WebP files, as many and as good as fit the same bytes."""

from __future__ import annotations

import numpy as np

from drrpack.trainers import peers
from drrpack.trainers.methods.base import register
from drrpack.trainers.methods.compressed import CompressedReplay
from drrpack.trainers.peers import Packed


@register
class WebPReplay(CompressedReplay):
    """Its container and headers are not counted."""

    name = "er-webp"
    qualities = (0, 1, 2, 3, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 95)

    @staticmethod
    def pack(images: np.ndarray, quality: int) -> Packed:
        return peers.webp(images, quality)
