"""Choose exemplars: some images of a class that represent all of it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import batches
from drrpack.core.codes import Codes
from drrpack.core.vqvae import VQVAE

Selection = Literal["herding", "random"]
CODES_AT_ONCE = 1 << 16  # whose vectors are in memory: 8 MiB of them, where each has 16 numbers

SELECTIONS: tuple[Selection, ...] = ("herding", "random")


def choose(
    how: Selection, codes: Codes, network: VQVAE, count: int, seed: int
) -> NDArray[np.int64]:
    """Positions in the class of ``count`` of its images, the best first, or of all if fewer."""
    if how == "herding":
        return herd(features(codes, network), count)
    return np.random.default_rng(seed).permutation(len(codes))[:count].astype(np.int64)


def features(codes: Codes, network: VQVAE) -> NDArray[np.float64]:
    """What the codec knows of images, (n, 2 * embedding): the mean vector of each level's codes."""
    levels = ((codes.top, network.top), (codes.bottom, network.bottom))
    means = []
    for grid, quantiser in levels:
        codebook = quantiser.codebook.cpu().double().numpy()
        flat = grid.reshape(len(grid), -1)
        # the vectors of all codes at once would take a hundred times what their means do
        parts = batches(len(flat), max(1, CODES_AT_ONCE // flat.shape[1]))
        means.append(np.concatenate([codebook[flat[part]].mean(1) for part in parts]))
    return np.concatenate(means, 1)


def herd(features: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Rows of ``features`` (n, d) whose mean stays nearest to the mean of all, one by one.

    Rebuffi et al., iCaRL, CVPR 2017, algorithm 4; features are scaled to length one as there.
    Each beginning of the result is the choice for a smaller ``count``.
    """
    rows = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    wanted, total = rows.mean(0), np.zeros(rows.shape[1])
    left = np.ones(len(rows), dtype=bool)
    chosen: list[int] = []
    for number in range(1, min(count, len(rows)) + 1):
        distance = np.linalg.norm(wanted - (total + rows) / number, axis=1)
        best = int(np.where(left, distance, np.inf).argmin())
        chosen.append(best)
        left[best], total = False, total + rows[best]
    return np.array(chosen, dtype=np.int64)
