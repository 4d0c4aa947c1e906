"""`replay`: one DataLoader that mixes the images of a memory with those of a new task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from multiprocessing.context import BaseContext
from numbers import Rational, Real
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from drrpack.core.errors import OptionError, SourceError
from drrpack.formats.class_names import names_of_labels
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.layout import AnyPath
from drrpack.formats.sources.opening import LabelledDataset
from drrpack.integrations.batches import Group, ReplayBatches
from drrpack.integrations.mixed import (
    Labels,
    Mixed,
    Numbering,
    Transform,
    by_names,
    by_offset,
    class_groups,
    labels_of,
    names_of,
)
from drrpack.operations.preparing import at_least, whole

Share: TypeAlias = Literal["balanced", "proportional"] | float


def replay(
    memory: AnyPath | DRRDataset,
    new_dataset: LabelledDataset,
    *,
    batch_size: int = 128,
    share: Share = "balanced",
    transform: Transform | None = None,
    class_names: Sequence[str] | None = None,
    label_offset: int | None = None,
    seed: int = 0,
    drop_last: bool = False,
    num_workers: int = 0,
    persistent_workers: bool = False,
    multiprocessing_context: str | BaseContext | None = None,
    pin_memory: bool = False,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of new images and of a memory's, in a share that holds in each of them.

    A batch is ``(images, labels)``: uint8 (B, 3, H, W) unless a transform changes them, and int64
    (B,). In an epoch every new image comes once. Memory is drawn without repetition until all
    of it has been seen. The length of an epoch follows: N new images make N / (1 - share of memory)
    images in all. Each iteration over the loader is another epoch, with another order; the same
    ``seed`` gives the same batches for every number of workers. ``loader.dataset`` has ``classes``,
    ``class_to_idx`` and ``targets``; ``loader.batch_sampler.set_epoch(n)`` resumes at an epoch.

    Args:
        memory: a ``.drr`` file, or a `DRRDataset` of it, for some classes, say.
        new_dataset: a map-style dataset of ``(image, label)``. PIL images and arrays of uint8
            become uint8 tensors (3, H, W), like those of the memory; tensors stay.
        batch_size: images in a batch, of both kinds.
        share: how much of each batch is memory, to within one image. "balanced": every class is
            seen equally often, if the new ones are equally large. "proportional": as much as memory
            is of all images, so that each image of both comes once. Or a number over 0 and below 1.
        transform: applied to each image of both, as a tensor (3, H, W).
        class_names: names for the labels of the new data, if it has no ``classes``. A class of the
            memory has exactly the name of a new one, or is the only one whose name differs from it
            by case, outer space or Unicode form alone; others are numbered after the memory's.
        label_offset: in place of names, what to add to the labels of the new data: 0 if they count
            on from the memory's already.
        seed: of the order of images, and of what workers draw.
        drop_last: leave out a last batch that is not full, and its new images with it.
        num_workers, persistent_workers, multiprocessing_context, pin_memory: as for `DataLoader`.

    Raises:
        FormatError: the file is missing or damaged.
        SourceError: the images of both have different forms, or are no pairs of image and label.
        OptionError: labels have neither names nor an offset, a name looks like two classes of the
            memory, or another option can't be used.
    """
    at_least(1, batch_size=batch_size)
    at_least(0, seed=seed, num_workers=num_workers)
    if not isinstance(memory, DRRDataset | str | os.PathLike):
        raise OptionError(
            f"`memory`: found {type(memory).__name__}, expected a .drr file or a DRRDataset of it; "
            "save a ReplayBuffer to a file first",
            option="memory",
        )
    held = memory if isinstance(memory, DRRDataset) else DRRDataset(memory)
    if not len(held) or not len(new_dataset):
        empty = "memory" if not len(held) else "new data"
        raise SourceError(f"{empty}: found no images, expected at least one: give another dataset")
    own = labels_of(new_dataset)
    numbering = _numbering(held, new_dataset, own, class_names, label_offset)
    dataset = Mixed(held.preload(), new_dataset, own, numbering, transform)
    with torch.random.fork_rng(devices=[]):
        dataset.__getitems__([0, len(own)])  # one of each: forms that differ are found now
    part, groups_old, groups_new = _groups(share, numbering)
    batches = ReplayBatches(
        groups_old, groups_new, share=part, batch_size=batch_size, seed=seed, drop_last=drop_last
    )
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # its images are tensors, or what a transform makes
        batch_sampler=batches,
        generator=torch.Generator().manual_seed(seed),
        num_workers=num_workers,
        persistent_workers=persistent_workers,
        multiprocessing_context=multiprocessing_context,
        pin_memory=pin_memory,
    )


def _numbering(
    memory: DRRDataset,
    new: LabelledDataset,
    labels: Labels,
    class_names: Sequence[str] | None,
    offset: int | None,
) -> Numbering:
    """Labels for both: by the names of classes, or by an offset."""
    if class_names is not None and offset is not None:
        raise OptionError("found `class_names` and `label_offset`, expected one: leave one out")
    if offset is not None:
        whole(label_offset=offset)
        return by_offset(memory, labels, offset)
    given = class_names is not None
    names = names_of_labels(class_names, "`class_names`") if given else names_of(new)
    if names is None:
        raise OptionError(
            "new data: found no names of classes, expected a list `classes` in the dataset: give "
            "`class_names`, or `label_offset=0` if the labels count on from the memory's, or "
            f"`label_offset={len(memory.classes)}` if they start from 0",
            option="label_offset",
        )
    return by_names(memory, labels, names)


def _groups(share: Share, numbering: Numbering) -> tuple[Fraction, list[Group], list[Group]]:
    """The share of memory, and what is drawn from memory and from the new images.

    The groups of the new images count on from 0, as items of `Mixed` do.
    """
    new, old = len(numbering.new), len(numbering.memory)
    everything = Group(np.arange(new, new + old), Fraction(1)), Group(np.arange(new), Fraction(1))
    if share == "balanced":
        return _balanced(numbering)
    if share == "proportional":
        return Fraction(old, old + new), [everything[0]], [everything[1]]
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 < share < 1:
        raise OptionError(
            f"`share={share!r}`: expected 'balanced', 'proportional' or a number over "
            "0 and below 1: give one of them",
            option="share",
        )
    exact = share if isinstance(share, Rational) else float(share)
    return Fraction(exact), [everything[0]], [everything[1]]


def _balanced(numbering: Numbering) -> tuple[Fraction, list[Group], list[Group]]:
    """Each class as often as any other; one that both have comes from both, by their images."""
    new, old = dict(class_groups(numbering.new)), dict(class_groups(numbering.memory))
    of_memory = {
        label: Fraction(len(items), len(items) + len(new.get(label, ())))
        for label, items in old.items()
    }
    part = sum(of_memory.values(), Fraction(0)) / len(old.keys() | new.keys())
    first = len(numbering.new)
    groups = [Group(items + first, of_memory[label]) for label, items in old.items()]
    return part, groups, [Group(items, Fraction(len(items))) for items in new.values()]
