"""The networks and the trainings of a phase."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from drrpack.core.errors import MethodError
from drrpack.trainers.incremental.phase import Phase
from drrpack.trainers.learning.classifier import NetworkClassifier, extract_features
from drrpack.trainers.learning.nearest_mean import NearestMean
from drrpack.trainers.learning.network import (
    AnyNetwork,
    Head,
    Linear,
    Network,
    new_network,
    snapshot,
)
from drrpack.trainers.learning.recipes import Recipe, stretched
from drrpack.trainers.learning.resnet import ResNet, ResNet18
from drrpack.trainers.learning.training import Loss, MakeOptimiser, Parameters, sgd, train_network
from drrpack.trainers.learning.watch import TrainingLog, TrainReport
from drrpack.trainers.ranks import ALONE, Ranks


@dataclass(frozen=True, kw_only=True)
class PhaseNetworks(Phase):
    """Makes networks and trains them, by the recipe and the seed of the phase."""

    recipe: Recipe
    device: torch.device
    network: type[ResNet] = ResNet18  # the architecture
    compiled: bool = False  # by torch.compile
    processes: Ranks = ALONE  # which carry out this phase together, and share batches
    report: TrainReport | None = None
    logs: list[TrainingLog] = field(default_factory=list)  # of the phase's trainings so far

    def new_network(self, *, head: Head = Linear, last_relu: bool = True) -> ResNet:
        """The run's network, untrained: of the recipe's width, with a head of all classes of the
        run. Its weights are equal for all methods that give it the same ``head``, such as
        `heads.CosineHead`; ``last_relu``: whether features are cut at zero."""
        width = self.recipe.width
        return self.build(lambda: self.network(self.classes, width, head=head, last_relu=last_relu))

    def build(self, make: Callable[[], AnyNetwork]) -> AnyNetwork:
        """A network of the method's own, any that is derived from `Network`, its weights
        drawn from the phase's seed."""
        return new_network(make, self.seed)

    def train(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        network: AnyNetwork | None = None,
        loss: Loss[AnyNetwork] | None = None,
        parameters: Parameters[AnyNetwork] | None = None,
        optimiser: MakeOptimiser = sgd,
        recipe: Recipe | None = None,
        epochs: int | None = None,
        stage: str = "",
    ) -> NetworkClassifier[AnyNetwork]:
        """Train a copy of ``network`` as a classifier of all classes seen.

        Args:
            images, labels: (N, H, W, 3) uint8 and (N,) int64, positions in ``seen``.
            network: what to start from; a new one by default. It is not changed.
            loss: a function of the copy and a batch. It returns a tensor, or named terms whose sum
                is the loss and whose means are reported. Cross-entropy by default.
            parameters: a function of the copy that returns the parameters to train; all by default.
            optimiser: makes the optimiser from parameters and recipe; the recipe's SGD by default.
            recipe: used instead of the run's recipe.
            epochs: stretch the recipe to this number of epochs.
            stage: names a training beside the phase's first, such as a balanced fine-tuning. It
                has batches of its own, and progress and the result's ``loss_terms`` show its name.

        Raises:
            MethodError: two trainings of the phase have the same stage.
            OptionError: the training diverged.
        """
        if any(stage == log.stage for log in self.logs):
            raise MethodError(
                f"the method trains twice in phase {self.phase} as stage {stage!r}: give the "
                "second training a `stage` of its own, or both would see the same batches"
            )
        chosen = self.recipe if recipe is None else recipe
        start = cast(AnyNetwork, self.new_network()) if network is None else network
        trained = train_network(
            start, images, labels, seen=len(self.seen),
            recipe=chosen if epochs is None else stretched(chosen, epochs),
            seed=self.stage_seed(stage), device=self.device, loss=loss,
            parameters=parameters, optimiser=optimiser, stage=stage,
            report=self.report, compiled=self.compiled, processes=self.processes,
        )  # fmt: skip
        self.logs.append(trained.log)
        return NetworkClassifier(trained.network, self.device)

    def stage_seed(self, stage: str) -> int:
        """The seed of a training: that of the phase, or one drawn by the name of the stage."""
        if not stage:
            return self.seed
        digest = hashlib.sha256(f"{self.seed} {stage}".encode()).digest()
        return int.from_bytes(digest[:7], "little")

    def features(self, network: Network, images: Tensor) -> Tensor:
        """Features of images (N, H, W, 3) uint8 in eval mode: (N, feature_size) float32 on the CPU.
        The network is not changed."""
        return extract_features(network, images, self.device)

    def snapshot(self, network: AnyNetwork) -> AnyNetwork:
        """A frozen copy in eval mode on the run's device, such as the teacher of a distillation."""
        return snapshot(network, self.device)

    def classifier(self, network: AnyNetwork) -> NetworkClassifier[AnyNetwork]:
        """The classifier by the largest logit of a network that was changed after its training."""
        return NetworkClassifier(network, self.device)

    def nearest_mean(self, network: Network, images: Tensor, labels: Tensor) -> NearestMean:
        """A classifier by the nearest mean feature of exemplars (N, H, W, 3) uint8, which hold some
        of each class seen."""
        return NearestMean.fit(network, images, labels, self.device)
