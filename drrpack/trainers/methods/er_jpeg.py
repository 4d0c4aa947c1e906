"""ER-JPEG: replay of JPEG files, as many and as good as fit the same bytes."""

from __future__ import annotations

import numpy as np

from drrpack.trainers import peers
from drrpack.trainers.methods.base import register
from drrpack.trainers.methods.compressed import CompressedReplay
from drrpack.trainers.peers import Packed


@register
class JPEGReplay(CompressedReplay):
    """4:2:0, standard tables; the tables are not counted."""

    name = "er-jpeg"
    qualities = (5, 8, 10, 12, 15, 18, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90, 95)

    @staticmethod
    def pack(images: np.ndarray, quality: int) -> Packed:
        return peers.jpeg(images, quality)
