"""A finished phase, as stored in its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from drrpack.core.errors import MethodError
from drrpack.trainers.incremental.method import State
from drrpack.trainers.learning.watch import TrainingLog

Confusion = list[list[int]]  # test images by class (rows) and by the class they are taken for
_PLAIN = (Tensor, bool, int, float, str, type(None))


@dataclass(frozen=True)
class PhaseRecord:
    """What was measured in one phase."""

    confusion: Confusion  # rows and columns in class order
    losses: list[float]  # mean training loss of each epoch, of all trainings in a row
    memory_bytes: dict[str, int]  # what the method keeps, by part
    seconds: float  # to train and to test
    through_codec: Confusion | None = None  # of test images that went through the codec
    # the mean of each named term of a loss in each epoch of its training
    loss_terms: dict[str, list[float | None]] = field(default_factory=dict)

    def to_state(self) -> State:
        """As checkpoints hold it; what a phase does not have is left out."""
        state: State = {"confusion": self.confusion}
        if self.through_codec is not None:
            state["through_codec"] = self.through_codec
        state |= {"losses": self.losses, "memory_bytes": self.memory_bytes, "seconds": self.seconds}
        return state | ({"loss_terms": self.loss_terms} if self.loss_terms else {})

    @classmethod
    def from_state(cls, state: State) -> PhaseRecord:
        return cls(**state)


@dataclass(frozen=True)
class FinishedPhase:
    """A finished phase: its record, and the state that the next phase starts from."""

    record: PhaseRecord
    weights: State  # of the classifier
    state: State  # of the method
    dropped: bool = False  # whether there was a state, which is here no longer

    @property
    def without_weights(self) -> FinishedPhase:
        """Without the weights, which once the next phase is safe serve no one."""
        return replace(self, weights={})

    @property
    def record_alone(self) -> FinishedPhase:
        """Without weights and state, which once two later phases are safe serve no one."""
        return replace(self, weights={}, state={}, dropped=self.dropped or bool(self.state))

    def to_state(self) -> State:
        kept: State = {"weights": self.weights, "state": self.state, "dropped": self.dropped}
        return {"record": self.record.to_state(), **kept}

    @classmethod
    def from_state(cls, state: State) -> FinishedPhase:
        """Of an earlier version, which dropped both at once, it is not known what there was: then
        a state counts as dropped."""
        record, weights, kept = state["record"], state["weights"], state["state"]
        dropped = state.get("dropped", not weights and not kept)
        return cls(PhaseRecord.from_state(record), weights, kept, dropped)


def all_losses(logs: Sequence[TrainingLog]) -> list[float]:
    """The mean loss of each epoch of a phase's trainings, one training after the other."""
    return [loss for log in logs for loss in log.losses]


def all_terms(logs: Sequence[TrainingLog]) -> dict[str, list[float | None]]:
    """Each named term of the losses of a phase's trainings; ``stage: term`` beyond the first, or
    the stage alone where its loss has no terms."""
    found = dict[str, list[float | None]]()
    for log in logs:
        if log.stage and not log.terms:
            found[log.stage] = [*log.losses]
        for name, means in log.terms.items():
            found[f"{log.stage}: {name}" if log.stage else name] = means
    return found


def check_state(what: str, state: object) -> None:
    """Raise MethodError where a checkpoint could not be read back."""
    if isinstance(state, dict):
        for name, value in state.items():
            check_state(f"{what}[{name!r}]", value)
    elif isinstance(state, list | tuple):
        for place, value in enumerate(state):
            check_state(f"{what}[{place}]", value)
    elif not isinstance(state, _PLAIN):
        raise MethodError(
            f"{what} is a {type(state).__module__}.{type(state).__name__}, expected tensors, "
            "numbers, strings, None, or lists and dicts of them: convert it"
        )
