"""The loop that fits any network: a budget in epochs or minutes, checkpoints, progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from drrpack.core.errors import CorruptError
from drrpack.formats.files.places import make_folder
from drrpack.formats.files.publish import remove_leftovers, write_atomic
from drrpack.trainers.checkpoints import load_checkpoint, save_checkpoint
from drrpack.trainers.fitting.share import Share, shared
from drrpack.trainers.ranks import ALONE, Ranks

CHECKPOINT_SECONDS = 60.0  # a crash costs a minute of fitting
WARMUP_STEPS = 100
WARMUP_SHARE = 0.05  # of a budget so short that a hundred steps would be much of it


@dataclass(frozen=True)
class Budget:
    """How long to fit: ``epochs`` passes over the data or ``minutes``; exactly one is given."""

    epochs: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.minutes is None):
            raise ValueError("give a budget in epochs or in minutes, one of the two")

    def share(self, fraction: float) -> Budget:
        """The part of a budget in minutes that one of several networks gets; epochs stay."""
        return self if self.minutes is None else Budget(minutes=self.minutes * fraction)


@dataclass(frozen=True)
class FitProgress:
    """One report of a fit: which network, how far (0 to 1), its figures and the time left."""

    stage: str
    fraction: float
    epoch: int
    metrics: dict[str, float]
    seconds_left: float


Report = Callable[[FitProgress], None]
State = dict[str, Any]  # what torch makes of the state of networks and optimisers


class FitTask(Protocol):
    """What the loop fits: it owns the network and the optimiser."""

    stage: str

    def step(self, batch: Tensor, fraction: float, generator: torch.Generator) -> dict[str, float]:
        """One optimiser step; returns figures for the progress bar. Each process gets the whole
        batch and looks at its share."""

    def sharing(self, processes: Ranks, batch_size: int) -> AbstractContextManager[None]:
        """Within it steps share batches with other processes."""

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...


class NetworkTask:
    """What the tasks of this room have in common: one network and its optimiser.

    Args:
        fitted: the part of the network whose weights change; a checkpoint keeps it.
        peak: the learning rate that `rate_over_budget` rises to.
        constant: the learning rate is always the peak, and gradients are not clipped.
    """

    kept_as = "network"  # what a checkpoint calls the network
    device: torch.device
    share = Share()

    def __init__(
        self,
        fitted: nn.Module,
        optimiser: torch.optim.Optimizer,
        peak: float,
        constant: bool = False,
    ) -> None:
        self.fitted, self.optimiser, self.peak, self.steps = fitted, optimiser, peak, 0
        self.constant = constant

    def set_learning_rate(self, fraction: float) -> None:
        rate = self.peak if self.constant else rate_over_budget(self.peak, fraction, self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    @contextmanager
    def sharing(self, processes: Ranks, batch_size: int) -> Iterator[None]:
        """Within it steps share batches of ``batch_size`` with other processes."""
        with shared(processes, self.fitted, self.device, batch_size) as self.share:
            yield
        self.share = Share()

    def descend(self, loss: Tensor, count: int, clip: float | None = None) -> None:
        """One step of the optimiser, the norm of all gradients at most ``clip``."""
        self.backward(loss, count)
        self.advance(clip)

    def backward(self, loss: Tensor, count: int) -> None:
        """The gradients by the weights as they are now, of the mean ``loss`` of a batch of
        ``count`` images, of which this process has seen its share."""
        self.optimiser.zero_grad(set_to_none=True)
        if self.share.group is not None:
            loss = loss * self.share.weight(count)
        torch.autograd.backward(loss)
        for group in self.optimiser.param_groups:
            self.share.sum_gradients(group["params"])

    def advance(self, clip: float | None = None) -> None:
        """The step along these gradients."""
        if clip is not None and not self.constant:
            nn.utils.clip_grad_norm_(self.fitted.parameters(), clip)
        self.optimiser.step()
        self.steps += 1

    def state_dict(self) -> State:
        return {
            self.kept_as: self.fitted.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: State) -> None:
        self.fitted.load_state_dict(state[self.kept_as])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]


def rate_over_budget(peak: float, fraction: float, step: int) -> float:
    """A short warm-up, then a cosine from ``peak`` down to 1 % of it over the budget."""
    warm = min(1.0, max((step + 1) / WARMUP_STEPS, fraction / WARMUP_SHARE))
    return peak * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction))))


class _Clock:
    """Seconds of fitting, those before an interruption counted in."""

    def __init__(self, before: float) -> None:
        self.start = time.monotonic() - before

    def seconds(self) -> float:
        return time.monotonic() - self.start


def fit(
    task: FitTask,
    data: Tensor,
    budget: Budget,
    *,
    batch_size: int,
    seed: int,
    fingerprint: str,
    checkpoint: Path | None = None,
    report: Report | None = None,
    processes: Ranks = ALONE,
) -> dict[str, float]:
    """Run ``task`` over shuffled batches of ``data`` until ``budget`` is spent; returns a log.

    With a ``checkpoint`` path the state is saved there each minute, and a run with the same
    ``fingerprint`` continues from it. Batches and noise depend only on ``seed`` and the step, so
    with a budget in epochs a resumed run takes the same steps as an uninterrupted one, and its log
    has the same figures.

    Several ``processes`` share each batch. The first one decides when the time is over, saves and
    reports. What it saves does not depend on their number.
    """
    per_epoch = max(1, len(data) // batch_size)
    step, before, smooth = _restore(task, checkpoint, fingerprint)
    processes.of_all(None)  # all have read the checkpoint: the first may write another one
    checkpoint = checkpoint if processes.first else None
    clock, saved = _Clock(before), time.monotonic()
    with task.sharing(processes, batch_size) if processes.size > 1 else nullcontext():
        while (fraction := _spent(budget, step, per_epoch, clock, processes)) < 1.0:
            batch = data[_batch(len(data), batch_size, per_epoch, seed, step)]
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            for name, value in task.step(batch, fraction, generator).items():
                smooth[name] = value + 0.98 * (smooth.get(name, value) - value)
            step += 1
            if report is not None and (step % 10 == 0 or step == 1):
                left = clock.seconds() * (1 - fraction) / max(fraction, 1e-6)
                report(FitProgress(task.stage, fraction, step // per_epoch, dict(smooth), left))
            if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                _keep(task, checkpoint, fingerprint, step, clock.seconds(), smooth)
                saved = time.monotonic()
    if checkpoint is not None:
        _keep(task, checkpoint, fingerprint, step, clock.seconds(), smooth)
    return {"steps": step, "epochs": step / per_epoch, "seconds": clock.seconds(), **smooth}


def _spent(budget: Budget, step: int, per_epoch: int, clock: _Clock, processes: Ranks) -> float:
    if budget.epochs is not None:
        return step / max(1, budget.epochs * per_epoch)
    assert budget.minutes is not None
    total = max(1e-9, budget.minutes * 60)
    return processes.from_first(lambda: clock.seconds() / total)


def _batch(count: int, batch_size: int, per_epoch: int, seed: int, step: int) -> Tensor:
    epoch, index = divmod(step, per_epoch)
    shuffle = torch.Generator().manual_seed(seed * 7_919 + epoch)
    order = torch.randperm(count, generator=shuffle)
    return order[index * batch_size : (index + 1) * batch_size]


@contextmanager
def checkpoint_folder(path: Path) -> Iterator[None]:
    """A folder for the checkpoints of several fits; without any it does not stay.

    Raises OutputError where it can't be made.
    """
    remove_leftovers(make_folder(path))
    try:
        yield
    finally:
        with suppress(OSError):  # it holds something to go on from
            path.rmdir()


def _keep(
    task: FitTask, path: Path, fingerprint: str, step: int, seconds: float, smooth: dict[str, float]
) -> None:
    state: State = {"fingerprint": fingerprint, "step": step, "seconds": seconds, "smooth": smooth}
    state["task"] = task.state_dict()
    write_atomic(path, lambda file: save_checkpoint(state, file))


def _restore(
    task: FitTask, path: Path | None, fingerprint: str
) -> tuple[int, float, dict[str, float]]:
    """Steps and seconds already spent, and the smoothed figures of the task so far, which are empty
    in checkpoints of version 0.2.0; nothing where there is no checkpoint of this very fit.

    Raises CorruptError: an hour of fitting is not to be begun anew without a word.
    """
    if path is None or not path.exists():
        return 0, 0.0, {}
    try:
        kept = load_checkpoint(path)
        if kept["fingerprint"] != fingerprint:
            return 0, 0.0, {}
        task.load_state_dict(kept["task"])
        return int(kept["step"]), float(kept["seconds"]), dict(kept.get("smooth", {}))
    except Exception as error:  # what is in it may be anything
        raise CorruptError(
            f"the checkpoint {path} can't be read ({error}); delete it and start again, "
            "and its network is fitted anew"
        ) from error
