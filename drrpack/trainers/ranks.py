"""The processes of one run, as ``torchrun`` starts them: who am I, and what have the others."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
from torch import distributed

from drrpack.core.errors import OptionError, ProcessError

T = TypeVar("T")

# A process may wait for another one's fit or largest class. It never waits for a dead one: torchrun
# ends all processes when one of them fails.
_PATIENCE = timedelta(days=30)
# Within a training all processes do the same at the same time. One that lets the others wait longer
# hangs, or a loss calls the network more often in one process than in another.
_STEP_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Ranks:
    """This process, ``rank``, of ``size`` processes. One alone talks to nobody."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reports, and writes what there is one of."""
        return self.rank == 0

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in the first process, for all; the others do not call it."""
        if self.size == 1:
            return make()
        box = [make() if self.first else None]
        with others_needed():
            distributed.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]

    def of_all(self, mine: T) -> list[T]:
        """What each process has, in their order; also waits until all have come here."""
        if self.size == 1:
            return [mine]
        every: list[T] = [mine] * self.size
        with others_needed():
            distributed.all_gather_object(every, mine)
        return every

    @contextmanager
    def holding(self, lock: AbstractContextManager[None]) -> Iterator[None]:
        """Within it the first process holds ``lock`` for all, which wait until it has it."""
        with lock if self.first else nullcontext():
            self.of_all(None)
            yield

    def group(self, device: torch.device, use: str) -> distributed.ProcessGroup:
        """What sums tensors on ``device`` over all processes: NCCL where each process has a GPU of
        its own, and otherwise gloo. Each ``use`` has a group of its own, so that the sums of one do
        not wait for those of another. All processes must ask for it.
        """
        if device.type != "cuda":
            return _group("gloo", use)
        number = torch.cuda.current_device() if device.index is None else device.index
        gpus = self.of_all((socket.gethostname(), number))
        return _group("nccl" if len(set(gpus)) == self.size else "gloo", use)


@cache
def _group(backend: str, use: str) -> distributed.ProcessGroup:
    group = distributed.new_group(backend=backend, timeout=_STEP_PATIENCE, group_desc=use)
    assert isinstance(group, distributed.ProcessGroup)  # else this process were none of its own
    return group


@contextmanager
def others_needed() -> Iterator[None]:
    """Within it the processes need each other.

    Raises ProcessError, instead of what PyTorch raises, if another one no longer answers.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error).lower():
            raise
        first_line = str(error).partition("\n")[0]
        raise ProcessError(
            f"another process of this run has ended or hangs ({first_line}); look for its own "
            "message, and start the run again: `resume=True` goes on after what was finished"
        ) from error


ALONE = Ranks()

_SHARING: ContextVar[bool] = ContextVar("sharing", default=False)


@contextmanager
def sharing() -> Iterator[None]:
    """Within it operations share their work with the other processes that `torchrun` has started.

    All of them must call the same operation. The command line does so. A program that has processes
    of its own, such as one under DistributedDataParallel, may call operations in any of them:
    without this they work alone.
    """
    before = _SHARING.set(True)
    try:
        yield
    finally:
        _SHARING.reset(before)


def ranks() -> Ranks:
    """The processes that share the work of this one: those of torchrun within `sharing`.

    They talk by gloo, also where they compute on GPUs: what they say is short.

    Raises:
        OptionError: what torchrun says to each process is incomplete.
    """
    if not _SHARING.get() or os.environ.get("WORLD_SIZE", "1") == "1":
        return Ranks()
    if not distributed.is_initialized():
        try:
            distributed.init_process_group("gloo", timeout=_PATIENCE)
        except ValueError as error:
            raise OptionError(
                f"found WORLD_SIZE={os.environ['WORLD_SIZE']} in the environment, expected all "
                f"that torchrun sets ({error}); start with torchrun, or unset WORLD_SIZE"
            ) from error
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def own_device(device: torch.device) -> torch.device:
    """The device of this process: of several GPUs in a machine, each process has its own.

    It becomes the current one, which ``"cuda"`` means.
    """
    local = os.environ.get("LOCAL_RANK")
    if not _SHARING.get() or local is None or device.type != "cuda" or device.index is not None:
        return device
    own = torch.device("cuda", int(local) % torch.cuda.device_count())
    torch.cuda.set_device(own)
    return own


def rows_of(processes: Ranks, count: int) -> slice:
    """Which of ``count`` rows of a batch are this process's; the numbers differ by one at most."""
    start, end = (count * place // processes.size for place in (processes.rank, processes.rank + 1))
    return slice(start, end)


def shares(sizes: Sequence[int], processes: int) -> list[list[int]]:
    """For each process the positions of its parts: the largest part goes to whoever has least."""
    given: list[list[int]] = [[] for _ in range(processes)]
    total = [0] * processes
    for position in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        least = total.index(min(total))
        given[least].append(position)
        total[least] += sizes[position]
    return [sorted(positions) for positions in given]
