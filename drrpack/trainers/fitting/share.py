"""What one of several processes has of each batch of a fit, and how it learns what the others have.

The tasks of a fit call parts of their networks, swap weights for rounded ones and keep moving
averages, so there is no forward pass that DistributedDataParallel could wrap. Their networks are
small: gradients are summed at once, after the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from drrpack.trainers.learning.parallel import moments_of_all
from drrpack.trainers.ranks import ALONE, Ranks, others_needed, rows_of


@dataclass(frozen=True)
class Share:
    """The share of ``processes`` in batches; one process alone has all, and talks to nobody."""

    processes: Ranks = ALONE
    group: distributed.ProcessGroup | None = None

    def own(self, whole: Tensor) -> Tensor:
        """The rows of this process, of a whole batch (W, ...)."""
        return whole if self.group is None else whole[rows_of(self.processes, len(whole))]

    def all(self, own: Tensor, count: int) -> Tensor:
        """The rows of all processes, in their order. ``own`` has equally many for each image of
        this share, of ``count`` images in the whole batch."""
        if self.group is None:
            return own
        rows = rows_of(self.processes, count)
        each = len(own) // (rows.stop - rows.start)
        whole = own.new_zeros(count * each, *own.shape[1:])
        whole[rows.start * each : rows.stop * each] = own
        distributed.all_reduce(whole, group=self.group)
        return whole

    def mean(self, value: Tensor, count: int) -> Tensor:
        """The mean over a whole batch of ``count`` images, of one over this share."""
        if self.group is None:
            return value
        total = value.detach() * self.weight(count)
        distributed.all_reduce(total, group=self.group)
        return total

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes; all have gradients for the same parameters."""
        if self.group is None:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat, group=self.group)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def weight(self, count: int) -> float:
        """The share of this process in a batch of ``count`` images, 0 to 1."""
        rows = rows_of(self.processes, count)
        return float(rows.stop - rows.start) / count


@contextmanager
def shared(
    processes: Ranks, network: nn.Module, device: torch.device, batch_size: int
) -> Iterator[Share]:
    """The share in batches of ``batch_size``; batch norms in ``network`` see the whole batch.

    Each process has the whole batch, with the same result, where it is smaller than their number.
    Raises ProcessError if another process no longer answers.
    """
    if processes.size == 1 or batch_size < processes.size:
        yield Share()
        return
    with others_needed(), moments_of_all(network, processes.group(device, "moments")):
        yield Share(processes, processes.group(device, "gradients"))
