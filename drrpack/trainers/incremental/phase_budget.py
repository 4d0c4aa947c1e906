"""The bytes that a method may keep, and how many images they have room for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from drrpack.core.errors import OptionError
from drrpack.trainers.incremental.phase import Phase


@dataclass(frozen=True, kw_only=True)
class PhaseBudget(Phase):
    """What may be kept after the phase. Every class of the run gets the same share of it."""

    budget_bytes: int | None = None  # all that a method may keep, at the end of the run
    exemplars_per_class: int = 20  # raw ones, where a method keeps any and there is no budget

    def room(self, fixed: Mapping[str, int], image_bytes: float) -> int | None:
        """How many images of a class fit into the budget beside ``fixed`` parts; None: all do.

        Every class of the run gets the same share from the start. Raises OptionError where there
        is no room for one; a method that keeps no images has images of 0 bytes.
        """
        if self.budget_bytes is None:
            return None
        least = sum(fixed.values()) + image_bytes * self.classes
        if self.budget_bytes < least:
            parts = ", ".join(f"{name} {size / 1e6:.3f}" for name, size in fixed.items())
            what = "one image a class" if image_bytes else "what the method keeps"
            raise OptionError(
                f"`budget_mb={self.budget_bytes / 1e6:g}` is too little for {what}; "
                f"expected at least {math.ceil(least / 1e3) / 1e3:.3f} MB "
                f"({parts or 'no models'})",
                option="budget_mb",
            )
        if not image_bytes:
            return 0
        return int((self.budget_bytes - sum(fixed.values())) // (image_bytes * self.classes))
