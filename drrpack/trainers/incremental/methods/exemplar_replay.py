"""What methods share that go on from the last network and keep raw exemplars of old classes."""

from __future__ import annotations

from collections.abc import Sequence

from drrpack.trainers.incremental.buffer import (
    Exemplars,
    Policy,
    exemplars_of,
    least_bytes,
    policy_of,
)
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.method import State
from drrpack.trainers.incremental.methods.finetune import Finetune
from drrpack.trainers.incremental.options import MethodOptions
from drrpack.trainers.learning.network import Network


class ExemplarReplay(Finetune):
    """Keeps its network and raw exemplars: a number of each class, or as many as fit into the
    class's share of the budget. A network's features choose them, so no codec is asked."""

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self.exemplars = Exemplars()

    def choose_exemplars(self, context: PhaseContext, network: Network) -> None:
        """Keep exemplars of the new classes, herded by the network that was trained."""
        self.exemplars.add_herded(context, network, self._policy(context))

    def exemplars_of(self, context: PhaseContext, classes: Sequence[int]) -> int:
        """How many exemplars of ``classes`` are kept after the phase, about."""
        return exemplars_of(context, classes, self.network_bytes(context))

    def least(self, context: PhaseContext, label: int) -> tuple[dict[str, int], float]:
        """The network, and an image."""
        return {"old_network": self.network_bytes(context)}, least_bytes(context, label)

    def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
        """The exemplars, packed as a memory packs its own, and the network to go on from."""
        return {"raw_exemplars": self.exemplars.nbytes, **super().memory_bytes(context)}

    def state_dict(self) -> State:
        return {**super().state_dict(), **self.exemplars.state_dict()}

    def load_state_dict(self, state: State, context: PhaseContext) -> None:
        super().load_state_dict(state, context)
        self.exemplars.load_state_dict(state)

    def _policy(self, context: PhaseContext) -> Policy:
        return policy_of(context, self.network_bytes(context))
