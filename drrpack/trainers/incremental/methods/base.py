"""What a class-incremental method is, and what it is given in each phase.

How to add a method
-------------------
Write one file in this folder with one class, and import it in ``__init__.py``::

    @register
    class MyMethod(Method):
        name = "mine"                      # as in --method mine, and in result.json
        needs = frozenset({"replayed"})    # what it may look at, see Need
        depends_on_history = False         # True if a phase uses anything of an earlier phase

        def train_phase(self, context: PhaseContext) -> Classifier:
            return context.train(*context.replayed(context.seen))

        def memory_bytes(self, context: PhaseContext) -> dict[str, int]:
            return dict(context.data.memory_bytes)

One object serves a whole run, so what goes from phase to phase (an old network, herded
exemplars) is an attribute of it. Then set ``depends_on_history`` and return those attributes
from ``state_dict``: they go into the phase's checkpoint and come back through ``load_state_dict``
when an interrupted run goes on.

``context.train`` takes a ``network`` to go on from instead of a new one and a ``loss`` instead of
cross-entropy: distillation from an old network, or a term on pairs of a raw image and its
reconstruction, which ``batch.indices`` finds. A method with a rule of its own, such as the
nearest mean of exemplars, returns its own object with ``predict`` and ``state_dict``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from drrpack.core.errors import OptionError, SourceError
from drrpack.trainers.learning.classifier import (
    Classifier,
    Loss,
    NetworkClassifier,
    TrainReport,
    train_classifier,
)
from drrpack.trainers.learning.recipes import Recipe
from drrpack.trainers.learning.resnet import ResNet18

Labelled = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]

# What a method looks at: reconstructions from the memory; the raw exemplars that the memory keeps
# of old classes; the raw training images of the classes that are new in the phase; those of all
# classes seen, which only an upper bound may have; the ranking of a class, in every run. A run is
# refused before it trains where one of them is not there
# (`drrpack.trainers.incremental.requirements`).
Need = Literal["replayed", "exemplars", "raw_new", "raw_seen", "ranked"]


class PhaseData(Protocol):
    """The images of an experiment. Classes are indices into ``classes``; so are the labels."""

    @property
    def classes(self) -> Sequence[str]:
        """The names, in file order."""

    @property
    def memory_bytes(self) -> Mapping[str, int]:
        """The memory's bytes by part, models included; the parts add up to the whole file."""

    @property
    def counts(self) -> Sequence[int]:
        """How many training images each class has."""

    @property
    def codec_classes(self) -> Sequence[str]:
        """Names of the classes that the codec was fitted on, as far as they are known."""

    @property
    def fingerprint(self) -> str:
        """A name for the content: another whenever an image, training or test, is another."""

    def ranking(self, label: int) -> npt.NDArray[np.int64]:
        """Positions of all images of a class, the best exemplars first."""

    def replayed(self, classes: Sequence[int]) -> Labelled:
        """Reconstructions for training: (N, H, W, 3) uint8 and (N,) int64, class by class."""

    def raw(self, classes: Sequence[int]) -> Labelled:
        """The images ``replayed`` reconstructs, in its order; SourceError if not at hand."""

    def exemplars(self, label: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Raw exemplars of a class that the memory keeps: positions (n,), images (n, H, W, 3)."""

    def test(self, classes: Sequence[int]) -> Labelled:
        """Raw test images of the same size; SourceError if not at hand."""

    def test_through_codec(self, classes: Sequence[int]) -> Labelled:
        """The test images as the memory's codec would keep them."""


@dataclass(frozen=True)
class PhaseContext:
    """One phase as a method sees it. Labels are positions in ``seen``, from 0."""

    phase: int  # 0 is the base
    seen: tuple[int, ...]  # classes of all phases so far, in class order
    new: tuple[int, ...]  # the last of these: the classes that this phase adds
    data: PhaseData
    needs: frozenset[Need]
    recipe: Recipe
    seed: int  # of this phase
    device: torch.device
    classes: int  # of the whole run, in all its phases
    exemplars_per_class: int = 20  # raw ones, where a method keeps any and there is no budget
    budget_bytes: int | None = None  # all that a method may keep, at the end of the run
    compiled: bool = False  # by torch.compile
    report: TrainReport | None = None

    def replayed(self, classes: Sequence[int], each: int | None = None) -> tuple[Tensor, Tensor]:
        """Reconstructions of ``classes``, or of their best ``each``: (N, H, W, 3) uint8, (N,) int64
        labels."""
        assert "replayed" in self.needs, "the method must declare that it needs 'replayed'"
        images, labels = self.data.replayed(classes)
        kept = self.best(classes, each)
        return self.tensors(images[kept], labels[kept], classes, "reconstructed")

    def raw(self, classes: Sequence[int], each: int | None = None) -> tuple[Tensor, Tensor]:
        """Raw training images of ``classes``, or of their best ``each``, as `replayed` has them."""
        only_new = set(classes) <= set(self.new)
        allowed = "raw_seen" in self.needs or ("raw_new" in self.needs and only_new)
        assert allowed, "the method must declare that it needs 'raw_new' or 'raw_seen'"
        images, labels = self.data.raw(classes)
        kept = self.best(classes, each)
        return self.tensors(images[kept], labels[kept], classes, "raw training")

    def exemplars(self, label: int) -> tuple[npt.NDArray[np.int64], Tensor]:
        """Raw exemplars that the memory keeps of a class: positions in it, images."""
        assert "exemplars" in self.needs, "the method must declare that it needs 'exemplars'"
        positions, images = self.data.exemplars(label)
        return positions, torch.from_numpy(np.require(images, requirements=["C", "W"]))

    def best(self, classes: Sequence[int], each: int | None) -> npt.NDArray[np.int64]:
        """Rows of the best ``each`` images of each class, in images that stand class by class."""
        rows, start = [], 0
        for label in classes:
            count = self.data.counts[label]
            chosen = np.arange(count)
            if each is not None and each < count:
                chosen = np.sort(self.data.ranking(label)[:each])
            rows.append(start + chosen)
            start += count
        return np.concatenate(rows)

    def room(self, fixed: Mapping[str, int], image_bytes: float) -> int | None:
        """How many images of a class fit into the budget beside ``fixed`` parts; None: all do.

        Every class of the run gets the same share from the start. Raises OptionError where there
        is no room for one.
        """
        if self.budget_bytes is None:
            return None
        count = int((self.budget_bytes - sum(fixed.values())) // (image_bytes * self.classes))
        if count < 1:
            least = (sum(fixed.values()) + image_bytes * self.classes) / 1e6
            parts = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in fixed.items())
            raise OptionError(
                f"--budget-mb {self.budget_bytes / 1e6:g} is too little for one image a class; "
                f"it takes {least:.2f} MB at least ({parts or 'no models'})"
            )
        return count

    def train(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        network: ResNet18 | None = None,
        loss: Loss | None = None,
    ) -> NetworkClassifier:
        """A classifier of all classes seen, trained on these images under the run's recipe."""
        return train_classifier(
            images,
            labels,
            classes=self.classes,
            seen=len(self.seen),
            recipe=self.recipe,
            seed=self.seed,
            device=self.device,
            report=self.report,
            network=network,
            loss=loss,
            compiled=self.compiled,
        )

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


class Method(ABC):
    """A way to train a classifier phase by phase; see the head of this file."""

    name: ClassVar[str]
    needs: ClassVar[frozenset[Need]]
    # False: a phase's classifier is a function of the set of classes seen, so runs that cut the
    # same classes into other phases can share it
    depends_on_history: ClassVar[bool] = True

    @abstractmethod
    def train_phase(self, context: PhaseContext) -> Classifier:
        """Train on what the phase offers; returns a classifier of all ``context.seen``."""

    @abstractmethod
    def memory_bytes(self, context: PhaseContext) -> Mapping[str, int]:
        """Bytes kept to go on with after this phase, by part; called after ``train_phase``."""

    def least(self, context: PhaseContext, label: int) -> tuple[Mapping[str, int], float] | None:
        """The least that can be kept of a class: parts that are kept whatever there is of images,
        and the bytes of one image. None: a budget does not bind the method.

        Asked of each class in the phase that adds it, before any phase has been trained, so that
        too small a budget is refused then.
        """
        return None

    def state_dict(self) -> dict[str, Any]:
        """What the next phase needs: tensors, numbers, strings, lists and dicts of them only."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""
        assert not state, f"{self.name} keeps a state but can't load one"


METHODS: dict[str, type[Method]] = {}


def register(method: type[Method]) -> type[Method]:
    """Class decorator: makes a method known by its name."""
    assert method.name not in METHODS, f"two methods are called {method.name}"
    METHODS[method.name] = method
    return method


def get_method(name: str) -> type[Method]:
    """The method called ``name``; raises OptionError."""
    if name not in METHODS:
        raise OptionError(f"no method is called {name!r}; there are: {', '.join(sorted(METHODS))}")
    return METHODS[name]
