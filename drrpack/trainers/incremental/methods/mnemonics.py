"""Mnemonics: exemplars that are optimised (Liu et al., CVPR 2020), a rival in the DRR paper."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from drrpack.core.settings import own_settings
from drrpack.trainers.incremental.context import PhaseContext
from drrpack.trainers.incremental.methods.lucir import LUCIR, LUCIROptions, cosine_head
from drrpack.trainers.incremental.registry import register
from drrpack.trainers.incremental.trainings import FORWARD, Training
from drrpack.trainers.learning.batches import PIXEL_MEAN, PIXEL_STD, epoch_batches, normalise
from drrpack.trainers.learning.classifier import NetworkClassifier
from drrpack.trainers.learning.heads import cosines
from drrpack.trainers.learning.network import Network
from drrpack.trainers.learning.resnet import ResNet
from drrpack.trainers.learning.training import Loss, reproducible
from drrpack.trainers.learning.weight_transfer import transferred, with_scales, without_scales


@dataclass(frozen=True)
class MnemonicsOptions(LUCIROptions):
    """What is published, but for the rate of the pixels: the authors' 1e-5 is one of SGD, with
    which an epoch changes hardly any pixel by a grey level. Here one moves by two at most in a
    phase of 5,000 images."""

    exemplar_epochs: int = 1  # passes over the images of the phase
    exemplar_rate: float = 0.001  # of Adam: a step moves a pixel by at most 0.06 grey levels
    inner_rate: float = 0.1  # of the step that the head takes on exemplars
    inner_steps: int = 1
    weight_transfer: bool = True  # after the base, kernels stay and learn a factor each

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("exemplar_epochs")
        self.check_range("exemplar_rate", "inner_rate", above=0)
        self.check_range("inner_steps", least=1)


@register
class Mnemonics(LUCIR):
    """LUCIR, whose exemplars are learned: their pixels are what a head learns best from.

    After each phase the exemplars of its classes are optimised on two levels. On the inner level
    the head takes steps of gradient descent on the exemplars (equation 8; the authors' code takes
    their mean features for it). On the outer level the loss of this head on all images of the phase
    goes down, by the gradient for the pixels (equation 9). Features stay as they are meanwhile. As
    in the authors' code, exemplars of old classes are not optimised again, and kernels of
    convolutions stay as the base left them, but for a factor that each learns in later phases
    (`weight_transfer`).
    """

    name = "mnemonics"
    revision = 3
    Options = MnemonicsOptions
    options: MnemonicsOptions

    def choose_exemplars(self, context: PhaseContext, network: Network) -> None:
        """Herd exemplars of the new classes, and put optimised ones in their places."""
        super().choose_exemplars(context, network)
        old = len(context.old)
        found = optimised(context, network, *self._of_old_and_new(old), self.options)
        policy, start = self._policy(context), 0
        for label in range(old, len(context.seen)):
            count = len(self.exemplars.kept[label])
            images = found[start : start + count]
            start += count
            # what is learned takes more bytes than what was seen: the share of a budget holds
            self.exemplars.replace(label, images[: policy.count(images, len(context.seen))])

    def _learned_on(
        self, context: PhaseContext, start: ResNet, shown: tuple[Tensor, Tensor], loss: Loss[ResNet]
    ) -> NetworkClassifier[ResNet]:
        if not self.options.weight_transfer:
            return super()._learned_on(context, start, shown, loss)
        found = context.train(*shown, network=with_scales(start), loss=loss, parameters=transferred)
        return context.classifier(without_scales(found.network))

    def trainings(self, context: PhaseContext) -> list[Training]:
        """Those of `LUCIR`, and the optimisation: in each of its steps the frozen network sees a
        batch of new images, and goes forward and back to the pixels of the phase's exemplars."""
        new = context.count(context.new)
        steps = math.ceil(new / context.recipe.batch_size)
        own = self.exemplars_of(context, context.new)
        cost = FORWARD + 2 * FORWARD * own * steps / new
        return [*super().trainings(context), Training(new, self.options.exemplar_epochs, cost)]

    def _of_old_and_new(self, old: int) -> tuple[Tensor, Tensor, int]:
        """All exemplars, their labels, and how many of them are of old classes."""
        images, labels = self.exemplars.labelled()
        return images, labels, int((labels < old).sum())


@own_settings()
def optimised(
    context: PhaseContext,
    network: Network,
    images: Tensor,
    labels: Tensor,
    fixed: int,
    options: MnemonicsOptions,
) -> Tensor:
    """Exemplars (n, H, W, 3) uint8 in place of all after the first ``fixed``.

    ``images`` (N, H, W, 3) uint8 and ``labels`` (N,) are the exemplars of all classes, those of the
    phase's classes last.
    """
    device, seen = context.device, len(context.seen)
    frozen = context.snapshot(network)
    assert isinstance(frozen, ResNet)
    head = cosine_head(frozen)
    old = context.features(network, images[:fixed]).to(device) if fixed else None
    labels = labels.to(device)
    pixels = normalise(images[fixed:].to(device)).requires_grad_(True)
    adam = torch.optim.Adam([pixels], lr=options.exemplar_rate)
    shown, wanted = (part.to(device) for part in context.raw(context.new))
    seed = context.stage_seed("exemplars")
    with reproducible(device):
        for epoch in range(options.exemplar_epochs):
            for batch in epoch_batches(shown, wanted, context.recipe, seed, epoch):
                own = frozen.features(pixels)
                features = own if old is None else torch.cat([old, own])
                weight = head.weight[:seen]
                for _ in range(options.inner_steps):
                    weight = stepped(weight, features, labels, head.scale, options.inner_rate)
                with torch.no_grad():
                    of_images = frozen.features(batch.images)
                loss = F.cross_entropy(head.scale * cosines(of_images, weight), batch.labels)
                (pixels.grad,) = torch.autograd.grad(loss, pixels)
                adam.step()
    back = (pixels.detach() * PIXEL_STD + PIXEL_MEAN) * 255
    return back.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()


def stepped(weight: Tensor, features: Tensor, labels: Tensor, scale: Tensor, rate: float) -> Tensor:
    """Vectors (C, d) after a step on features (B, d), which keep the gradient for the features."""
    with torch.enable_grad():
        start = weight if weight.requires_grad else weight.detach().requires_grad_(True)
        loss = F.cross_entropy(scale * cosines(features, start), labels)
        (gradient,) = torch.autograd.grad(loss, start, create_graph=True)
        return start - rate * gradient
