"""Memory and new images as one dataset, whose items have one form and one numbering of labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from drrpack.core.errors import OptionError, SourceError
from drrpack.core.wording import shortened
from drrpack.formats.class_names import names_of_labels, unite
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.indices import whole_number
from drrpack.formats.sources.opening import LabelledDataset

Labels: TypeAlias = NDArray[np.int64]
Transform: TypeAlias = Callable[[Tensor], object]
TRANSFORM = "give `transform`, which is applied to both and has to give one form"


@runtime_checkable
class _Batched(Protocol):
    """A dataset that gives several items at once."""

    def __getitems__(self, indices: Sequence[int], /) -> Sequence[object]: ...


@dataclass(frozen=True)
class Numbering:
    """What the labels mean: ``classes[label]``, and the label of each image, both (n,) int64."""

    classes: tuple[str, ...]
    memory: Labels
    new: Labels


class Mixed(Dataset[tuple[object, int]]):
    """The new images, from 0, followed by those of the memory; items are ``(image, label)``.

    Attributes:
        classes: names of the labels. class_to_idx: the label of each name.
        targets: the label of every item, int64 (N,).
    """

    def __init__(
        self,
        memory: DRRDataset,
        new: LabelledDataset,
        own_labels: Labels,
        numbering: Numbering,
        transform: Transform | None,
    ) -> None:
        self.memory, self.new, self.transform = memory, new, transform
        self.classes = numbering.classes
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}
        self.targets = np.concatenate([numbering.new, numbering.memory])
        self._own = np.concatenate([own_labels, numbering.memory])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[object, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[object, int]]:
        """Several items, in this order; those of the memory are decoded together."""
        first, whole = len(self.new), np.asarray(indices)
        is_old = whole >= first
        parts = (
            iter(items_of(self.memory, (whole[is_old] - first).tolist())),
            iter(items_of(self.new, whole[~is_old].tolist())),
        )
        images = [self._image(next(parts[0 if old else 1]), n) for n, old in zip(
            whole.tolist(), is_old.tolist(), strict=True)]  # fmt: skip
        self._check_forms(images, is_old)
        return list(zip(images, self.targets[whole].tolist(), strict=True))

    def _image(self, item: object, number: int) -> object:
        image, label = pair(item, self._name(number))
        if label != self._own[number]:
            raise SourceError(
                f"{self._name(number)}: found the label {label}, expected {self._own[number]} as "
                "in targets: give a dataset without a target_transform, and set its targets instead"
            )
        tensor = as_tensor(image, self._name(number))
        return tensor if self.transform is None else self.transform(tensor)

    def _name(self, number: int) -> str:
        inside = number - len(self.new)
        return f"memory[{inside}]" if inside >= 0 else f"new data[{number}]"

    def _check_forms(self, images: Sequence[object], is_old: NDArray[np.bool_]) -> None:
        forms = [_form(image) for image in images]
        for place, found in enumerate(forms):
            if found != forms[0]:
                kinds = ["memory" if old else "new data" for old in (is_old[place], is_old[0])]
                raise SourceError(
                    f"{kinds[0]}: found an image {found}, expected {forms[0]} as in {kinds[1]}: "
                    f"{TRANSFORM}"
                )


def _form(image: object) -> str:
    if isinstance(image, Tensor):
        return f"{tuple(image.shape)} of {image.dtype}"
    return type(image).__name__


def items_of(dataset: LabelledDataset, indices: Sequence[int]) -> Sequence[object]:
    """Some items of a dataset, at once where it can."""
    if isinstance(dataset, _Batched):
        return dataset.__getitems__(indices) if indices else []
    return [dataset[index] for index in indices]


def pair(item: object, where: str) -> tuple[object, int]:
    """The image and the label of an item; raises SourceError for anything else."""
    if isinstance(item, tuple | list) and len(item) == 2:
        number = whole_number(item[1])
        if number is not None:
            return item[0], number
    raise SourceError(
        f"{where}: found {shortened(item)}, expected a pair (image, label) whose label is a whole "
        "number: leave out what changes labels, and what adds to the pair"
    )


def as_tensor(image: object, where: str) -> Tensor:
    """A tensor as it is; a PIL image or an array (H, W), (H, W, 1 or 3) of uint8 as (3, H, W)."""
    if isinstance(image, Tensor):
        return image
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim in (2, 3):
        image = Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)
    if not isinstance(image, Image.Image):
        raise SourceError(
            f"{where}: found an image of type {type(image).__name__}, expected a tensor, a PIL "
            "image or an array of uint8: change the transform of the dataset"
        )
    return torch.from_numpy(np.array(image.convert("RGB")).transpose(2, 0, 1).copy())


def labels_of(dataset: LabelledDataset) -> Labels:
    """The label of each item (N,): those that it lists, or else those of the items themselves."""
    listed = _listed(dataset)
    if listed is None:
        listed = [pair(dataset[n], f"new data[{n}]")[1] for n in range(len(dataset))]
    labels = np.asarray(listed)
    if labels.shape != (len(dataset),) or labels.dtype.kind not in "iu":
        raise SourceError(
            f"new data: found labels {labels.shape} of {labels.dtype}, expected a whole number for "
            f"each of {len(dataset)} images: give a map-style dataset of (image, label)"
        )
    return labels.astype(np.int64)


def _listed(dataset: object) -> Sequence[int] | Labels | None:
    """Labels that a dataset has beside its items; a part of a dataset has those of the whole."""
    if isinstance(dataset, Subset):
        whole = _listed(dataset.dataset)
        return None if whole is None else np.asarray(whole)[np.asarray(dataset.indices, np.int64)]
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[-1].numpy() if dataset.tensors[-1].ndim == 1 else None
    if getattr(dataset, "target_transform", None) is not None:
        return None
    targets: Sequence[int] | None = getattr(dataset, "targets", None)
    return targets


def names_of(dataset: object) -> tuple[str, ...] | None:
    """The names of a dataset's labels, if it has them; those of the whole for a part of one."""
    if isinstance(dataset, Subset):
        return names_of(dataset.dataset)
    classes = getattr(dataset, "classes", None)
    return None if classes is None else names_of_labels(classes, "new data")


def by_names(memory: DRRDataset, new: Labels, names: Sequence[str]) -> Numbering:
    """One numbering for both: classes that `unite` takes for one are one, and others follow the
    memory's.

    Raises:
        OptionError: a label has no name, or a name that looks like two classes of the memory.
    """
    if new.min() < 0 or new.max() >= len(names):
        raise OptionError(
            f"new data: found labels from {new.min()} to {new.max()} and {len(names)} names of "
            "classes, expected a name for each label: give `class_names`",
            option="class_names",
        )
    used = [names[label] for label in np.unique(new)]
    distinct = list(dict.fromkeys(used))
    classes, (_, found) = unite([("memory", memory.classes), ("new data", distinct)])
    number_of = dict(zip(distinct, found, strict=True))
    numbers = np.zeros(len(names), np.int64)
    numbers[np.unique(new)] = [number_of[name] for name in used]
    return Numbering(tuple(classes), np.array(memory.targets, np.int64), numbers[new])


def by_offset(memory: DRRDataset, new: Labels, offset: int) -> Numbering:
    """Labels of the new data moved by ``offset``; those of the memory stay."""
    moved, old = new + offset, np.array(memory.targets, np.int64)
    if moved.min() < 0:
        raise OptionError(
            f"`label_offset={offset}`: found the label {moved.min()} then, expected 0 or more: "
            "give a larger offset",
            option="label_offset",
        )
    further = range(len(memory.classes), 1 + int(max(moved.max(), old.max())))
    return Numbering((*memory.classes, *map(str, further)), old, moved)


def class_groups(labels: Labels) -> Iterator[tuple[int, Labels]]:
    """Each label that occurs, and the numbers of its items (n,)."""
    for label in np.unique(labels):
        yield int(label), np.flatnonzero(labels == label)
