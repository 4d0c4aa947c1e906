"""Train one network by several processes, each with a share of every batch.

PyTorch's DistributedDataParallel averages the gradients. `BatchNormOfAll` normalises by the moments
of the whole batch, so that a training is that of one process but for the rounding of sums.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from drrpack.core.errors import MethodError
from drrpack.formats.layout import Json
from drrpack.trainers.learning.watch import TrainingLog
from drrpack.trainers.ranks import ALONE, Ranks, others_needed


def sharing_batches(processes: Ranks, count: int, batch_size: int) -> Ranks:
    """The processes that share batches of ``count`` images; each trains alone, with the same
    result, where the smallest batch has no image for each of them."""
    batches = -(-count // batch_size)
    return processes if count // batches >= processes.size else ALONE


@contextmanager
def averaged(objective: nn.Module, processes: Ranks, device: torch.device) -> Iterator[nn.Module]:
    """``objective``, whose backward pass averages gradients over all processes.

    Its forward pass is a whole loss, so a loss may run the network several times. Parameters that
    a loss does not use in some step get no gradient from it, and parameters without
    ``requires_grad`` take no part. Batch norms are `BatchNormOfAll` meanwhile, so buffers are equal
    in all processes and are not sent. One process alone gets the objective as it is.

    Raises ProcessError if another process no longer answers.
    """
    if processes.size == 1:
        yield objective
        return
    # PyTorch warns, for each training anew, where there happens to be no unused parameter
    objective.register_parameter("never_used", nn.Parameter(torch.zeros(1, dtype=torch.float32)))
    objective.to(device)
    with others_needed(), moments_of_all(objective, processes.group(device, "moments")):
        group = processes.group(device, "gradients")
        yield DistributedDataParallel(
            objective, process_group=group, find_unused_parameters=True, **_buffers_not_sent()
        )


def _buffers_not_sent() -> Json:
    """The argument that says so, whose older name warns since PyTorch 2.14."""
    known = inspect.signature(DistributedDataParallel).parameters
    newer = "forward_sync_buffers"
    return {newer if newer in known else "broadcast_buffers": False}


def check_alike(processes: Ranks, network: nn.Module, tensors: Sequence[Tensor]) -> None:
    """Raise MethodError unless all processes start from the same images, labels and weights."""
    if processes.size == 1:
        return
    digest = hashlib.sha256()
    for tensor in (*tensors, *network.state_dict().values()):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    found = processes.of_all(digest.hexdigest())
    if len(set(found)) > 1:
        raise MethodError(
            "the processes would train on different images or weights; expected the same in all. "
            "A method that draws must draw by the seed of its context"
        )


def mean_log(logs: Sequence[TrainingLog]) -> TrainingLog:
    """The log of a training from those of its processes: the mean of each figure."""
    losses = [sum(each) / len(each) for each in zip(*(log.losses for log in logs), strict=True)]
    names = dict.fromkeys(name for log in logs for name in log.terms)
    terms = {
        name: [
            _mean(each)
            for each in zip(*(_epochs(log.terms, name, len(losses)) for log in logs), strict=True)
        ]
        for name in names
    }
    return TrainingLog(logs[0].stage, losses, terms)


def _epochs(
    terms: Mapping[str, list[float | None]], name: str, count: int
) -> Sequence[float | None]:
    return terms.get(name, [None] * count)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# --- batch norms ---------------------------------------------------------------------------------


@contextmanager
def moments_of_all(module: nn.Module, group: distributed.ProcessGroup) -> Iterator[None]:
    """Within it all batch norms in ``module`` are `BatchNormOfAll`, with the same parameters."""
    replaced = [
        (parent, name, norm)
        for parent in list(module.modules())
        for name, norm in parent.named_children()
        if isinstance(norm, _BatchNorm)
    ]
    for parent, name, norm in replaced:
        setattr(parent, name, BatchNormOfAll(norm, group))
    try:
        yield
    finally:
        for parent, name, norm in replaced:
            norm.train(getattr(parent, name).training)
            setattr(parent, name, norm)


class BatchNormOfAll(_BatchNorm):
    """A batch norm whose batch is that of all processes, each of which has a share of it.

    It does what PyTorch's SyncBatchNorm does, which does not run on CPUs. All processes must call
    it as often; a share may be empty. Parameters and buffers are those of ``norm``.
    """

    def __init__(self, norm: _BatchNorm, group: distributed.ProcessGroup) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, False, norm.track_running_stats,
            device="meta",
        )  # fmt: skip
        self.affine, self.group = norm.affine, group
        self._parameters.update(norm._parameters)
        self._buffers.update(norm._buffers)
        self.training = norm.training

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) float to the same; B of this process, which may be 0."""
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        places = [0, *range(2, input.ndim)]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        x = input.float()
        count = x.numel() // x.shape[1]
        own_mean = x.sum(places) / max(count, 1)
        own_var = (x - own_mean.view(shape)).square().sum(places) / max(count, 1)
        mine = torch.cat([own_mean, own_var, own_mean.new_tensor([count])])
        means, variances, counts = Gathered.apply(mine, self.group).split(
            [self.num_features, self.num_features, 1], 1
        )  # (processes, C), (processes, C), (processes, 1)
        total = counts.sum()
        share = counts / total
        mean = (share * means).sum(0)
        variance = (share * (variances + (means - mean).square())).sum(0)
        if self.training and self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * total / (total - 1).clamp(min=1))
        found = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            found = found * self.weight.view(shape) + self.bias.view(shape)
        normalised: Tensor = found.to(input.dtype)
        return normalised

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running moments, as `nn.BatchNorm2d` does: a mean of all where there is no
        momentum."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        step = self.momentum
        if step is None:
            step = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), step)
        self.running_var.lerp_(variance.to(self.running_var.dtype), step)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of places is taken: the norm that this one stands for has checked it."""


class Gathered(torch.autograd.Function):
    """A vector (n,) of each process as rows (processes, n); gradients go back to whose it was."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, mine: Tensor, group: distributed.ProcessGroup
    ) -> Tensor:
        ctx.group = group  # type: ignore[attr-defined]
        every = [torch.empty_like(mine) for _ in range(distributed.get_world_size(group))]
        distributed.all_gather(every, mine, group)
        return torch.stack(every)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        group = ctx.group  # type: ignore[attr-defined]
        gradient = gradient.contiguous()
        distributed.all_reduce(gradient, group=group)
        return gradient[distributed.get_rank(group)], None
