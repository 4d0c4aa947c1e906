"""One phase of a run: which classes it adds, and which there are by then."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase of a run, whatever the method does in it."""

    phase: int  # 0 is the base
    seen: tuple[int, ...]  # classes of all phases so far, in class order
    new: tuple[int, ...]  # the last of these: the classes that this phase adds
    seed: int  # of this phase
    classes: int  # of the whole run, in all its phases
    last_phase: int = 0  # of the run

    @property
    def old(self) -> tuple[int, ...]:
        """The classes of earlier phases, in class order."""
        return self.seen[: len(self.seen) - len(self.new)]
