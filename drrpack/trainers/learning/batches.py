"""From uint8 images that stay on the device to augmented, normalised batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from drrpack.trainers.learning import augment
from drrpack.trainers.learning.recipes import Recipe
from drrpack.trainers.learning.strong import Strength, strengthen
from drrpack.trainers.ranks import ALONE, Ranks, rows_of

# One fixed scale for every memory and phase: near enough to natural images for a network that
# begins with a batch norm, nothing to store or keep in step, and no look at any data set.
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25


@dataclass(frozen=True)
class Whole:
    """A batch that several processes share: what is in all of it, and which rows are whose."""

    indices: Tensor  # (W,) int64, into the images that are trained on
    labels: Tensor  # (W,) int64
    rows: slice  # of the process at hand
    processes: int


@dataclass(frozen=True)
class Batch:
    """What a loss sees: normalised images, their labels, and where in the training set they are.

    Of several processes that train one network each sees a share of every batch; `whole` is what
    they have together. The gradient is the mean of theirs, so the mean over a share needs nothing.
    A loss that draws for each image draws for `count` images and takes the rows that are its
    `own`; one that takes a mean over some of the images weights it by `weight`.
    """

    images: Tensor  # (B, 3, H, W) float, channels last, flipped and cropped
    labels: Tensor  # (B,) int64
    indices: Tensor  # (B,) int64, into the images that are trained on
    draws: augment.Draws  # how each was flipped, cropped and changed otherwise
    strength: Strength = "crop"
    whole: Whole | None = None  # None: this batch is all that there is

    @property
    def count(self) -> int:
        """The number of images in the whole batch."""
        return len(self.labels) if self.whole is None else len(self.whole.labels)

    def own(self, values: Tensor) -> Tensor:
        """The rows of this process, of ``values`` (W, ...) for the whole batch."""
        return values if self.whole is None else values[self.whole.rows]

    @property
    def all_indices(self) -> Tensor:
        """The indices of the whole batch (W,)."""
        return self.indices if self.whole is None else self.whole.indices

    @property
    def all_labels(self) -> Tensor:
        """The labels of the whole batch (W,)."""
        return self.labels if self.whole is None else self.whole.labels

    @property
    def scale(self) -> float:
        """How many times as large as this share the whole batch is; 1 in one process."""
        return self.count / len(self.labels)

    def weight(self, own: int, every: int) -> float:
        """By what a mean over ``own`` images of this share is multiplied so that it counts as part
        of the mean over ``every`` such image of the whole batch; 1 in one process."""
        return 1.0 if self.whole is None else own / every * self.scale

    def alike(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """Other pixels (b, H, W, 3) uint8, changed as ``rows`` (b,) of the batch were and
        normalised: (b, 3, H, W) float."""
        pad = augment.crop_pad(pixels.shape[1], pixels.shape[2])
        return normalise(augmented(pixels, self.draws[rows], pad, self.strength))


def epoch_batches(
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    seed: int,
    epoch: int,
    processes: Ranks = ALONE,
) -> Iterator[Batch]:
    """Every image once, in batches whose sizes differ by one at most.

    Of several ``processes`` each gets its share of every batch. Together their shares are the batch
    that one process would get, in the same order.

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
    strong = recipe.augmentation != "crop"
    draws = augment.draw(len(images), pad, generator, strong=strong).to(images.device)
    for batch in order.tensor_split(math.ceil(len(images) / recipe.batch_size)):
        rows = rows_of(processes, len(batch))
        indices = batch[rows]
        drawn = draws[indices]
        pixels = augmented(images[indices], drawn, pad, recipe.augmentation)  # (B, H, W, 3)
        whole = None
        if processes.size > 1:
            whole = Whole(batch % count, labels[batch], rows, processes.size)
        yield Batch(
            normalise(pixels), labels[indices], indices % count, drawn, recipe.augmentation, whole
        )


def augmented(
    pixels: Tensor, draws: augment.Draws, pad: int, strength: Strength = "crop"
) -> Tensor:
    """Pixels (B, H, W, 3) uint8, flipped, cropped and changed otherwise as was drawn."""
    return strengthen(augment.flip_and_crop(pixels, draws, pad), draws.seeds, strength)


def normalise(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, in channels-last memory at no cost."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_STD
