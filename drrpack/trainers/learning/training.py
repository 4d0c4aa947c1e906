"""Train one network from pixels that stay on the device as uint8."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Generic

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drrpack.core.errors import MethodError
from drrpack.core.settings import own_settings
from drrpack.core.wording import shortened
from drrpack.trainers.learning.batches import Batch, epoch_batches
from drrpack.trainers.learning.network import AnyNetwork
from drrpack.trainers.learning.parallel import averaged, check_alike, mean_log, sharing_batches
from drrpack.trainers.learning.recipes import Recipe, learning_rate
from drrpack.trainers.learning.watch import TrainingLog, TrainReport, Watch
from drrpack.trainers.ranks import ALONE, Ranks

Terms = Mapping[str, Tensor]  # parts of a loss by name; the loss is their sum
Loss = Callable[[AnyNetwork, Batch], Tensor | Terms]
Parameters = Callable[[AnyNetwork], Iterable[nn.Parameter]]  # those of a network that are trained
MakeOptimiser = Callable[[Iterable[nn.Parameter], Recipe], torch.optim.Optimizer]


@dataclass(frozen=True)
class Trained(Generic[AnyNetwork]):
    """A network that was trained, and how its loss went."""

    network: AnyNetwork
    log: TrainingLog


def sgd(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Stochastic gradient descent under ``recipe``, which the paper trains with (section 6.1)."""
    return torch.optim.SGD(
        parameters,
        lr=recipe.peak_lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )


@own_settings()
def train_network(
    network: AnyNetwork,
    images: Tensor,
    labels: Tensor,
    *,
    seen: int,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    loss: Loss[AnyNetwork] | None = None,
    parameters: Parameters[AnyNetwork] | None = None,
    optimiser: MakeOptimiser = sgd,
    stage: str = "",
    report: TrainReport | None = None,
    compiled: bool = False,
    processes: Ranks = ALONE,
) -> Trained[AnyNetwork]:
    """Train a copy of ``network`` by ``recipe``; the network itself does not change.

    Order and augmentation depend only on ``seed``; the global random state does not change.

    Args:
        network: the network to start from; the first ``seen`` classes of its head are opened.
        images, labels: (N, H, W, 3) uint8, and (N,) int64 in 0..seen-1.
        loss: a function of the copy and a batch; cross-entropy by default. If it returns named
            terms, their sum is the loss, and the log holds the mean of each term.
        parameters: which parameters of the copy are trained; all by default. The others get no
            gradient, and parts that have such ones alone are in eval mode, so that the batch norms
            among them keep their running statistics.
        optimiser: makes the optimiser. Its groups follow the recipe's learning rate, each in
            proportion to the rate that it was made with.
        stage: the name of this training in progress reports and the log.
        compiled: run the features through torch.compile.
        processes: all of them call this with the same arguments, share each batch, and get the
            same network.

    Raises:
        OptionError: the loss is no longer a finite number. MethodError: it is no loss, or has no
            gradient, or the arguments are not the same in all processes. ProcessError: another
            process has ended.
    """
    check_alike(processes, network, (images, labels))
    network = copy.deepcopy(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.open_head(seen)
    if compiled:
        network.compile_features()
    loss = cross_entropy(recipe.label_smoothing) if loss is None else loss
    images, labels = images.to(device), labels.to(device)
    updates = optimiser(_unfrozen(network, parameters), recipe)
    shares = [float(group["lr"]) / recipe.peak_lr for group in updates.param_groups]
    steps_per_epoch = math.ceil(len(images) / recipe.batch_size)
    sharing = sharing_batches(processes, len(images), recipe.batch_size)
    watch = Watch(report, recipe, steps_per_epoch, stage)
    _train_unfrozen(network)
    with reproducible(device), averaged(Objective(network, loss), sharing, device) as objective:
        for epoch in range(recipe.epochs):
            batches = epoch_batches(images, labels, recipe, seed, epoch, sharing)
            for index, batch in enumerate(batches):
                step = epoch * steps_per_epoch + index
                rate = learning_rate(recipe, step, steps_per_epoch)
                for group, share in zip(updates.param_groups, shares, strict=True):
                    group["lr"] = rate * share
                with autocast(device):
                    value, terms = objective(batch)
                updates.zero_grad(set_to_none=True)
                value.backward()
                updates.step()
                watch.step(step, value.detach(), terms)
    return Trained(network, mean_log(sharing.of_all(watch.log())))


class Objective(nn.Module):
    """The loss of a batch as a forward pass, which DistributedDataParallel needs.

    Of a share of a batch the loss counts by the images in it. So the mean over all processes is
    the loss of the whole batch.
    """

    def __init__(self, network: AnyNetwork, loss: Loss[AnyNetwork]) -> None:
        super().__init__()
        self.network = network
        self.loss = partial(loss, network)  # no part of this module, also where it is a module

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, with its gradient, and its named terms; raises MethodError."""
        value, terms = _total(self.loss(batch))
        if batch.whole is None:
            return value, dict(terms)
        weight = batch.whole.processes / batch.scale
        return value * weight, {name: term.detach() * weight for name, term in terms.items()}


def _unfrozen(network: AnyNetwork, parameters: Parameters[AnyNetwork] | None) -> list[nn.Parameter]:
    """The parameters to train, which alone get gradients: a training may start from a snapshot."""
    chosen = list(network.parameters() if parameters is None else parameters(network))
    network.requires_grad_(False)
    for parameter in chosen:
        parameter.requires_grad_(True)
    return chosen


def _train_unfrozen(network: nn.Module) -> None:
    """Training mode for all parts but those whose parameters are frozen, every one."""
    network.train()
    for part in network.modules():
        own = list(part.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            part.training = False


def _total(found: Tensor | Terms) -> tuple[Tensor, Terms]:
    """The loss to go down, and its named terms where it has any; raises MethodError."""
    terms = {"": found} if isinstance(found, Tensor) else found
    if not isinstance(terms, Mapping) or not terms or not all(map(_is_scalar, terms.values())):
        raise MethodError(
            f"found {shortened(found)} as a loss; expected a tensor of one number, or several of "
            "them by name, such as {'cross_entropy': …, 'distillation': …}"
        )
    first, *others = terms.values()
    for term in others:
        first = first + term
    if not first.requires_grad:
        raise MethodError(
            "found a loss without a gradient; compute it from what the network returns, outside "
            "torch.no_grad()"
        )
    return first, {} if isinstance(found, Tensor) else found


def _is_scalar(term: object) -> bool:
    return isinstance(term, Tensor) and term.ndim == 0


def cross_entropy(label_smoothing: float) -> Loss[AnyNetwork]:
    """The usual loss of a network's logits against the labels."""

    def loss(network: AnyNetwork, batch: Batch) -> Tensor:
        return smoothed(network(batch.images), batch.labels, network.seen, label_smoothing)

    return loss


def smoothed(logits: Tensor, labels: Tensor, seen: int, label_smoothing: float) -> Tensor:
    """Cross-entropy of logits (B, C) against labels (B,), smoothed over the ``seen`` classes that
    are open: over all it would pull those that are closed."""
    log_p = F.log_softmax(logits.float(), 1)
    loss = F.nll_loss(log_p, labels)
    if label_smoothing:
        among = torch.arange(log_p.shape[1], device=log_p.device) < seen
        uniform = -(log_p * among).sum(1).mean() / seen
        loss = (1 - label_smoothing) * loss + label_smoothing * uniform
    return loss


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 where the GPU has it, else nothing: on a CPU it is slower than fp32, mostly."""
    pays = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast("cuda", dtype=torch.bfloat16) if pays else nullcontext()


def reproducible(device: torch.device) -> AbstractContextManager[object]:
    """cuDNN's reproducible kernels, chosen without timing, so that a seed means one result."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
