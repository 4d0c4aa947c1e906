"""Avalanche: a class-incremental benchmark of a memory, and a ``.drr`` file as replay buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torchvision.transforms import v2  # type: ignore[import-untyped]

from drrpack.core.errors import OptionError
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.opening import Given
from drrpack.integrations.extras import not_installed
from drrpack.integrations.torchvision import DRRVision
from drrpack.operations.preparing import at_least

try:
    from avalanche.benchmarks import class_incremental_benchmark
    from avalanche.benchmarks.utils import (
        _make_taskaware_classification_dataset as classification_dataset,
    )
    from avalanche.training.storage_policy import ExemplarsBuffer
except ImportError as error:
    raise not_installed("avalanche-lib", "avalanche") from error

Transform = Callable[[Any], Any]


def avalanche_benchmark(
    memory: AnyPath,
    n_experiences: int,
    *,
    classes: Sequence[str | int] | None = None,
    class_order: Sequence[int] | None = None,
    train_transform: Transform | None = None,
    eval_transform: Transform | None = None,
    test: Given | None = None,
) -> Any:
    """A class-incremental benchmark: the images of a memory, and its source's raw test images.

    Args:
        memory: the path or the address of the file.
        n_experiences: how many experiences the classes are divided into.
        classes: names or numbers of the classes to use, all by default. Labels follow this order.
        class_order: the labels in the order in which they are learned; by default that of the file.
        train_transform, eval_transform: applied to an image uint8 (3, H, W); by default to floats
            from 0 to 1.
        test: a folder or a dataset of test images, where the file's source has none or has moved.

    Returns:
        A ``CLScenario`` with ``train_stream`` and ``test_stream``.

    Raises:
        OptionError: the classes can't be divided evenly into so many experiences.
        FormatError, SourceError: as for `drrpack.integrations.torchvision.DRRVision`.
    """
    at_least(1, n_experiences=n_experiences)
    if class_order is None:
        with DRRDataset(memory, classes=classes) as dataset:
            class_order = dataset.class_order
    order = [*class_order]
    if len(order) % n_experiences:
        raise OptionError(
            f"`n_experiences={n_experiences}`: found {len(order)} classes, expected a multiple of "
            "that number: choose another number, or fewer `classes`",
            option="n_experiences",
        )
    parts = {
        "train": DRRVision(memory, True, classes=classes, as_pil=False),
        "test": DRRVision(memory, False, classes=classes, as_pil=False, test=test),
    }
    transforms = {
        "train": (train_transform or scaled(), None),
        "eval": (eval_transform or scaled(), None),
    }
    datasets = {
        name: classification_dataset(
            part, transform_groups=transforms, initial_transform_group=group, task_labels=0
        )
        for (name, part), group in zip(parts.items(), ("train", "eval"), strict=True)
    }
    return class_incremental_benchmark(datasets, class_order=order, num_experiences=n_experiences)


class DRRStoragePolicy(ExemplarsBuffer):  # type: ignore[misc]  # Avalanche has no types
    """A replay buffer for ``ReplayPlugin``, whose images come from a ``.drr`` file.

    After each experience the buffer holds the file's images of all classes seen so far, equally
    many of each, and at most ``max_size`` in all. Labels are those of `avalanche_benchmark` for the
    same file.

    Args:
        memory: the path or the address of the file.
        max_size: how many images at most, equal to ``mem_size`` of the plugin; all by default.
        transform: applied to an image uint8 (3, H, W); by default to floats from 0 to 1.
        classes: as for `avalanche_benchmark`.
        seed: of the choice of images.
    """

    def __init__(
        self,
        memory: AnyPath,
        max_size: int | None = None,
        *,
        transform: Transform | None = None,
        classes: Sequence[str | int] | None = None,
        seed: int = 0,
    ) -> None:
        self._images = DRRVision(memory, classes=classes, as_pil=False)
        super().__init__(len(self._images) if max_size is None else max_size)
        at_least(1, max_size=self.max_size)
        self._all = classification_dataset(
            self._images, transform=transform or scaled(), task_labels=0
        )
        self._seen: set[int] = set()
        self._seed = seed

    def post_adapt(self, agent_state: object, exp: Any) -> None:
        """Add the classes of an experience."""
        self._seen.update(map(int, exp.classes_in_this_experience))
        self._choose()

    def update(self, strategy: Any, **kwargs: object) -> None:
        """The same, as plugins of Avalanche 0.6 call it."""
        self.post_adapt(strategy, strategy.experience)

    def resize(self, strategy: object, new_size: int) -> None:
        """Hold at most ``new_size`` images from now on."""
        self.max_size = new_size
        self._choose()

    def _choose(self) -> None:
        targets = np.array(self._images.targets)
        most, further = divmod(self.max_size, max(1, len(self._seen)))
        chosen: list[int] = []
        for place, label in enumerate(sorted(self._seen)):
            # an order of its own, whose first images are held: what was dropped stays dropped
            random = np.random.default_rng([self._seed, label])
            order = random.permutation(np.flatnonzero(targets == label))
            chosen += order[: most + (place < further)].tolist()
        self.buffer = self._all.subset(chosen)


def scaled() -> Transform:
    """Bytes to floats from 0 to 1."""
    scale: Transform = v2.ToDtype(torch.float32, scale=True)
    return scale
