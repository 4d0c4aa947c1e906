"""A memory in the place of ``torchvision.datasets.CIFAR100``: the same arguments and attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import VisionDataset  # type: ignore[import-untyped]

from drrpack.core.arrays import Pixels
from drrpack.core.errors import SourceError
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.layout import AnyPath
from drrpack.formats.originals import open_test
from drrpack.formats.sources.opening import Given


class DRRVision(VisionDataset):  # type: ignore[misc]  # torchvision has no types
    """The images of a ``.drr`` file for code that expects ``torchvision.datasets.CIFAR100``.

    Items are ``(image, label)``; the image is a PIL image, as in torchvision, and ``transform`` is
    applied to it. All images are decoded at once and kept as one array. (`DRRDataset` decodes when
    an image is used, and gives tensors.)

    Args:
        root: the path or the address of the file.
        train: True for the images of the file. False for the raw test images of the source that
            the file records, or of ``test``.
        transform, target_transform: applied to an image and to a label.
        download: has no effect, as the images are in the file; it is here for code that passes it.
        classes: names or numbers of the classes to read, all by default. Labels follow this order.
        as_pil: False for uint8 tensors (3, H, W) in the place of PIL images.
        test: a folder or a dataset of test images, where the file's source has none or has moved.
        device: where the codec runs.

    Attributes:
        data: all images, uint8 (N, H, W, 3). Items follow what a program assigns here.
        targets: the label of each. Items follow it, too.
        classes: names, in the order of the labels.
        class_to_idx: the label of each name.

    Raises:
        FormatError: the file is missing or damaged.
        OptionError: the file lacks one of the classes.
        SourceError: there are no test images; the message says how to give them.
    """

    data: Pixels
    targets: list[int]

    def __init__(
        self,
        root: AnyPath,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        *,
        classes: Sequence[str | int] | None = None,
        as_pil: bool = True,
        test: Given | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        with DRRDataset(root, classes=classes, device=device, cache_bytes=0) as memory:
            pixels, labels = memory.to_numpy() if train else _tested(memory, test)
            place, names, numbers = memory.reader.path, memory.classes, memory.class_to_idx
        super().__init__(place, transform=transform, target_transform=target_transform)
        self.train, self.as_pil = train, as_pil
        self.classes, self.class_to_idx = [*names], dict(numbers)
        self.data, self.targets = pixels, labels.tolist()

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        pixels, label = self.data[index], self.targets[index]
        image: Any = Image.fromarray(pixels)
        if not self.as_pil:
            image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        if self.transform is not None:
            image = self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


def _tested(memory: DRRDataset, test: Given | None) -> tuple[Pixels, NDArray[np.int64]]:
    """The test images (N, H, W, 3) of the classes that have any, and labels (N,)."""
    classes = memory.classes
    originals = open_test(memory.reader, test, classes=classes)
    absent = set(originals.missing(classes))
    there = [label for label, name in enumerate(classes) if name not in absent]
    if not there:
        raise SourceError(
            f"{originals.roots}: found test images of none of the {len(classes)} classes in use, "
            "expected some: give test images of these classes as `test`"
        )
    parts = [originals.load(classes[label]) for label in there]
    labels = np.repeat(np.array(there, np.int64), [len(part) for part in parts])
    return np.concatenate(parts), labels
