"""How right a classifier is that only guesses."""

from __future__ import annotations

import math
from collections.abc import Sequence


def chance(images: Sequence[int]) -> float:
    """Percent that are right where the class with the most of these test images is always said.

    Args:
        images: of each class, one at least in all.
    """
    return 100 * max(images) / sum(images)


def most_by_guessing(chance: float, tested: int) -> float:
    """What classifiers that only guess come to at most on ``tested`` images, in percent, as three
    deviations above ``chance`` are hardly ever passed; the best of several comes nearer than one.
    """
    share = chance / 100
    return chance + 300 * math.sqrt(share * (1 - share) / tested)
