"""Training one classifier from pixels that stay on the device as uint8."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drrpack.core.errors import OptionError
from drrpack.core.settings import own_settings, seeded
from drrpack.trainers.learning import augment
from drrpack.trainers.learning.recipes import Recipe, learning_rate
from drrpack.trainers.learning.resnet import ResNet18

# One fixed scale for every memory and phase: near enough to natural images for a network that
# begins with a batch norm, nothing to store or keep in step, and no look at any data set.
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
PREDICT_BATCH = 500
REPORT_SECONDS = 0.5  # reading the loss makes a GPU wait, so not at every step


class Classifier(Protocol):
    """What a method hands back: something that tells the label of raw images."""

    def predict(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 on any device -> (N,) int64 labels on the CPU."""

    def state_dict(self) -> dict[str, Any]:
        """The weights, for the checkpoint: tensors, numbers, strings, lists and dicts only."""


@dataclass(frozen=True)
class Batch:
    """What a loss sees: normalised images, their labels, and where in the training set they are."""

    images: Tensor  # (B, 3, H, W) float, channels last, flipped and cropped
    labels: Tensor  # (B,) int64
    indices: Tensor  # (B,) int64, into the images given to train_classifier
    draws: augment.Draws  # how each was flipped and cropped

    def alike(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """Other pixels (b, H, W, 3) uint8, flipped and cropped as ``rows`` (b,) of the batch were
        and normalised: (b, 3, H, W) float."""
        pad = augment.crop_pad(pixels.shape[1], pixels.shape[2])
        return normalise(augment.flip_and_crop(pixels, self.draws[rows], pad))


@dataclass(frozen=True)
class TrainProgress:
    """One report of a training: epochs done, the share of all steps done, the mean loss so far."""

    epoch: int
    epochs: int
    fraction: float
    loss: float
    seconds_left: float


Loss = Callable[[ResNet18, Batch], Tensor]
TrainReport = Callable[[TrainProgress], None]


class NetworkClassifier:
    """A network whose largest logit is the label."""

    def __init__(self, network: ResNet18, device: torch.device, losses: Sequence[float]) -> None:
        self.network = network
        self.device = device
        self.losses = list(losses)  # the mean of each epoch

    def predict(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 on any device -> (N,) int64 labels on the CPU."""
        self.network.eval()
        with (
            own_settings(),
            torch.inference_mode(),
            reproducible(self.device),
            autocast(self.device),
        ):
            parts = [
                self.network(normalise(part.to(self.device))).argmax(1).cpu()
                for part in torch.split(images, PREDICT_BATCH)
            ]
            return torch.cat(parts)

    def state_dict(self) -> dict[str, Any]:
        return {name: value.cpu() for name, value in self.network.state_dict().items()}


@own_settings()
def train_classifier(
    images: Tensor,
    labels: Tensor,
    *,
    classes: int,
    seen: int,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    report: TrainReport | None = None,
    network: ResNet18 | None = None,
    loss: Loss | None = None,
    compiled: bool = False,
) -> NetworkClassifier:
    """Train a classifier under ``recipe``, by default a new ResNet-18 with cross-entropy.

    ``images`` is (N, H, W, 3) uint8, ``labels`` (N,) int64 in 0..seen-1 of ``classes``. Weights,
    order and augmentation come from ``seed`` alone; the global random state is left as it was.
    Raises OptionError when the loss is no longer a finite number.
    """
    network = new_network(classes, recipe.width, seed) if network is None else network
    network.seen = seen
    if compiled:  # all but the dense layer, whose open classes change
        network.features = torch.compile(network.features)  # type: ignore[method-assign]
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = cross_entropy(recipe.label_smoothing) if loss is None else loss
    images, labels = images.to(device), labels.to(device)
    optimiser = _optimiser(network, recipe)
    steps_per_epoch = math.ceil(len(images) / recipe.batch_size)
    watch = _Watch(report, recipe, steps_per_epoch)
    network.train()
    with reproducible(device):
        for epoch in range(recipe.epochs):
            for index, batch in enumerate(epoch_batches(images, labels, recipe, seed, epoch)):
                step = epoch * steps_per_epoch + index
                optimiser.param_groups[0]["lr"] = learning_rate(recipe, step, steps_per_epoch)
                with autocast(device):
                    value = loss(network, batch)
                optimiser.zero_grad(set_to_none=True)
                value.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                watch.step(step, value.detach())
    return NetworkClassifier(network, device, watch.losses)


def new_network(classes: int, width: int, seed: int) -> ResNet18:
    """A ResNet-18 with weights drawn from ``seed`` on the CPU, so on every device the same."""
    with seeded(seed):
        return ResNet18(classes, width)


def cross_entropy(label_smoothing: float) -> Loss:
    """The usual loss of a network's logits against the labels."""

    def loss(network: ResNet18, batch: Batch) -> Tensor:
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


def epoch_batches(
    images: Tensor, labels: Tensor, recipe: Recipe, seed: int, epoch: int
) -> Iterator[Batch]:
    """Every image once, in batches whose sizes differ by one at most.

    A short last batch would be noise to the batch norms, and one of a single image an error. So
    where there is but one image, two views of it are a batch: 8x8 pixels leave a batch norm one
    value for each image, and of one value it knows no variance.
    """
    count = len(images)
    if count == 1:
        images, labels = images.expand(2, -1, -1, -1), labels.expand(2)
    generator = torch.Generator().manual_seed((seed + 7_919 * epoch) % 2**63)
    pad = augment.crop_pad(images.shape[1], images.shape[2])
    order = torch.randperm(len(images), generator=generator).to(images.device)
    draws = augment.draw(len(images), pad, generator).to(images.device)
    for indices in order.tensor_split(math.ceil(len(images) / recipe.batch_size)):
        drawn = draws[indices]
        pixels = augment.flip_and_crop(images[indices], drawn, pad)  # (B, H, W, 3)
        yield Batch(normalise(pixels), labels[indices], indices % count, drawn)


def normalise(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, in channels-last memory at no cost."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_STD


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 where the GPU has it, else nothing: on a CPU it is slower than fp32, mostly."""
    pays = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast("cuda", dtype=torch.bfloat16) if pays else nullcontext()


def reproducible(device: torch.device) -> AbstractContextManager[Any]:
    """cuDNN's reproducible kernels, chosen without timing, so that a seed means one result."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        network.parameters(),
        lr=recipe.peak_lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )


class _Watch:
    """Follows the loss, reports now and then, and stops a training that has diverged."""

    def __init__(self, report: TrainReport | None, recipe: Recipe, steps_per_epoch: int) -> None:
        self.report, self.recipe, self.steps_per_epoch = report, recipe, steps_per_epoch
        self.steps = recipe.epochs * steps_per_epoch
        self.start = self.reported = time.monotonic()
        self.mean: Tensor | None = None  # of the loss, over the last hundred steps or so
        self.losses: list[float] = []  # of each epoch that is over
        self._epoch: list[Tensor] = []

    def step(self, step: int, loss: Tensor) -> None:
        self._epoch.append(loss)
        if len(self._epoch) == self.steps_per_epoch:
            self.losses.append(float(torch.stack(self._epoch).float().mean()))
            self._epoch.clear()
        self.mean = loss.clone() if self.mean is None else self.mean.lerp_(loss, 0.02)
        now, last = time.monotonic(), step + 1 == self.steps
        if not last and now - self.reported < REPORT_SECONDS:
            return
        self.reported, fraction, mean = now, (step + 1) / self.steps, self.mean.item()
        epoch = (step + 1) // self.steps_per_epoch
        if not math.isfinite(mean):
            raise OptionError(
                f"the training diverged in epoch {epoch}: the loss is {mean}. Recipe "
                f"{self.recipe.name!r} does not suit these images; try the other, or another seed"
            )
        if self.report is not None:
            left = (now - self.start) * (1 - fraction) / fraction
            self.report(TrainProgress(epoch, self.recipe.epochs, fraction, mean, left))
