"""What a class-incremental method works with in each phase: images, trainings, the byte budget."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from drrpack.core.errors import MethodError, OptionError, SourceError
from drrpack.trainers.incremental.exemplars import herd
from drrpack.trainers.incremental.phase_data import Need, PhaseData
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


@dataclass(frozen=True)
class PhaseContext:
    """The interface of a method to one phase. Labels are positions in ``seen``, from 0."""

    phase: int  # 0 is the base
    seen: tuple[int, ...]  # classes of all phases so far, in class order
    new: tuple[int, ...]  # the last of these: the classes that this phase adds
    data: PhaseData  # the protocol's; a method asks this context for images
    needs: frozenset[Need]  # that the method has declared
    recipe: Recipe
    seed: int  # of this phase
    device: torch.device
    classes: int  # of the whole run, in all its phases
    last_phase: int = 0  # of the run
    network: type[ResNet] = ResNet18  # the architecture
    exemplars_per_class: int = 20  # raw ones, where a method keeps any and there is no budget
    budget_bytes: int | None = None  # all that a method may keep, at the end of the run
    compiled: bool = False  # by torch.compile
    processes: Ranks = ALONE  # which carry out this phase together, and share batches
    report: TrainReport | None = None
    logs: list[TrainingLog] = field(default_factory=list)  # of the phase's trainings so far

    @property
    def old(self) -> tuple[int, ...]:
        """The classes of earlier phases, in class order."""
        return self.seen[: len(self.seen) - len(self.new)]

    # --- images ----------------------------------------------------------------------------------

    def replayed(self, classes: Sequence[int], each: int | None = None) -> tuple[Tensor, Tensor]:
        """Reconstructions of ``classes``, or of their best ``each``: (N, H, W, 3) uint8, (N,) int64
        labels. Needs 'replayed'."""
        self._check_declared("replayed")
        images, labels = self.data.replayed(classes)
        kept = self.best(classes, each)
        return self.tensors(images[kept], labels[kept], classes, "reconstructed")

    def raw(self, classes: Sequence[int], each: int | None = None) -> tuple[Tensor, Tensor]:
        """Raw training images of ``classes``, or of their best ``each``, as `replayed` has them.
        Needs 'raw_new' for classes of this phase, 'raw_seen' for others."""
        if set(classes) <= set(self.new):
            self._check_declared("raw_new", "raw_seen")
        else:
            self._check_declared("raw_seen")
        images, labels = self.data.raw(classes)
        kept = self.best(classes, each)
        return self.tensors(images[kept], labels[kept], classes, "raw training")

    def exemplars(self, label: int) -> tuple[npt.NDArray[np.int64], Tensor]:
        """Raw exemplars that the memory keeps of a class: positions in it (n,), images
        (n, H, W, 3) uint8. Needs 'exemplars'."""
        self._check_declared("exemplars")
        positions, images = self.data.exemplars(label)
        return positions, torch.from_numpy(np.require(images, requirements=["C", "W"]))

    def ranking(self, label: int) -> npt.NDArray[np.int64]:
        """Positions (n,) of all images of a class, the best exemplars first by what the codec knows
        of them. Needs 'ranked'."""
        self._check_declared("ranked")
        return self.data.ranking(label)

    def count(self, classes: Sequence[int], each: int | None = None) -> int:
        """How many training images ``classes`` have, at most ``each`` of a class."""
        counts = self.data.counts
        return sum(counts[c] if each is None else min(each, counts[c]) for c in classes)

    def best(self, classes: Sequence[int], each: int | None) -> npt.NDArray[np.int64]:
        """Rows of the best ``each`` images of each class, in images that stand class by class."""
        rows, start, counts = [], 0, self.data.counts
        for label in classes:
            count = counts[label]
            chosen = np.arange(count)
            if each is not None and each < count:
                chosen = np.sort(self.data.ranking(label)[:each])
            rows.append(start + chosen)
            start += count
        return np.concatenate(rows)

    def tensors(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        classes: Sequence[int],
        what: str,
    ) -> tuple[Tensor, Tensor]:
        """Checked tensors of arrays, the labels turned into positions in ``seen``."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            found = f"{images.dtype} {images.shape}"
            raise SourceError(f"the {what} images are {found}, not uint8 (N, H, W, 3)")
        if labels.shape != (len(images),) or set(np.unique(labels).tolist()) != set(classes):
            missing = sorted(set(classes) - set(np.unique(labels).tolist()))
            names = ", ".join(self.data.classes[index] for index in missing[:5])
            found = f"no image of: {names}" if missing else "labels that are not those asked for"
            raise SourceError(f"the {what} images of {len(classes)} classes have {found}")
        position = np.full(max(self.seen) + 1, -1, np.int64)
        position[list(self.seen)] = np.arange(len(self.seen))
        writable = np.require(images, requirements=["C", "W"])  # as PyTorch wants it
        return torch.from_numpy(writable), torch.from_numpy(position[labels])

    def _check_declared(self, *any_of: Need) -> None:
        if not self.needs.intersection(any_of):
            wanted = " or ".join(map(repr, any_of))
            found = ", ".join(map(repr, sorted(self.needs))) or "nothing"
            raise MethodError(
                f"the method asks for images that it did not declare: found needs = {found}, "
                f"expected {wanted} among them; add it to the class's `needs`, so that a run "
                "without such images is refused before it trains"
            )

    # --- networks --------------------------------------------------------------------------------

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

    def herded(self, network: Network, label: int) -> Tensor:
        """The raw training images (n, H, W, 3) of a class, the best exemplars first by a network's
        features (Rebuffi et al., iCaRL, CVPR 2017, algorithm 4). Needs 'raw_new', or 'raw_seen'."""
        images, _ = self.raw([label])
        features = self.features(network, images).double().numpy()
        return images[torch.from_numpy(herd(features, len(images)))]

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

    # --- bytes -----------------------------------------------------------------------------------

    def room(self, fixed: Mapping[str, int], image_bytes: float) -> int | None:
        """How many images of a class fit into the budget beside ``fixed`` parts; None: all do.

        Every class of the run gets the same share from the start. Raises OptionError where there
        is no room for one; a method that keeps no images has images of 0 bytes.
        """
        if self.budget_bytes is None:
            return None
        least = sum(fixed.values()) + image_bytes * self.classes
        if self.budget_bytes < least:
            parts = ", ".join(f"{name} {size / 1e6:.3f}" for name, size in fixed.items())
            what = "one image a class" if image_bytes else "what the method keeps"
            raise OptionError(
                f"`budget_mb={self.budget_bytes / 1e6:g}` is too little for {what}; "
                f"expected at least {math.ceil(least / 1e3) / 1e3:.3f} MB "
                f"({parts or 'no models'})",
                option="budget_mb",
            )
        if not image_bytes:
            return 0
        return int((self.budget_bytes - sum(fixed.values())) // (image_bytes * self.classes))
