"""Check the images and labels that a program adds to a replay buffer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from drrpack.core.arrays import Pixels
from drrpack.core.errors import SourceError
from drrpack.core.wording import counted, shortened, sides
from drrpack.formats.indices import whole_number
from drrpack.formats.layout import MAX_SIDE
from drrpack.formats.sources.dataset import pixels_of
from drrpack.formats.sources.reading import Reading

EXPECTED = (
    "expected a batch (N, H, W, 3) or (N, 3, H, W) of uint8, a tensor of floats from 0 to 1, or a "
    "list of images"
)


def checked_images(images: object) -> Pixels:
    """A batch of images as (N, H, W, 3) uint8; raises SourceError for anything else.

    An array or tensor has 1 or 3 channels, last or first. A list has what a dataset may have: PIL
    images, arrays and tensors, see `drrpack.formats.sources.dataset`.
    """
    if isinstance(images, np.ndarray | Tensor):
        batch: Sequence[object] = [*_as_items_have_them(images)]
    elif isinstance(images, list | tuple):
        batch = images
    else:
        raise SourceError(f"images: found {shortened(images)}; {EXPECTED}")
    each = [pixels_of(image, f"images[{n}]", Reading())[0] for n, image in enumerate(batch)]
    sizes = {image.shape[:2] for image in each}
    if len(sizes) > 1:
        found = " and ".join(sides(size) for size in sorted(sizes)[:2])
        raise SourceError(f"images: found sizes {found}; expected one size: resize the images")
    return _of_possible_size(np.stack(each)) if each else np.empty((0, 0, 0, 3), np.uint8)


def checked_labels(labels: object, count: int) -> list[int]:
    """Labels as whole numbers from 0, one for each of ``count`` images; raises SourceError."""
    found = labels.tolist() if hasattr(labels, "tolist") else labels
    if not isinstance(found, list | tuple):
        raise SourceError(
            f"labels: found {shortened(labels)}; expected a list, an array or a tensor of "
            f"{counted(count, 'whole number')}"
        )
    if len(found) != count:
        raise SourceError(
            f"labels: found {counted(len(found), 'label')} for {counted(count, 'image')}; "
            "expected one for each"
        )
    checked = [whole_number(label) for label in found]
    for place, number in enumerate(checked):
        if number is None or not 0 <= number < 2**63:
            raise SourceError(
                f"labels[{place}]: found {shortened(found[place])}; expected a whole number from 0 "
                "to 2**63 - 1; names of classes belong into `class_names` of `save`"
            )
    return [number for number in checked if number is not None]


def _as_items_have_them(
    images: NDArray[np.generic] | Tensor,
) -> NDArray[np.generic] | Tensor:
    """A batch with its channels last if it is an array and first if it is a tensor, as the items
    of datasets have them. Where both may be channels it is left as it is."""
    shape = tuple(images.shape)
    if len(shape) != 4 or not {1, 3} & {shape[1], shape[3]}:
        raise SourceError(f"images: found the shape {shape}; {EXPECTED}")
    if isinstance(images, np.ndarray):
        return images if shape[3] in (1, 3) else images.transpose(0, 2, 3, 1)
    return images if shape[1] in (1, 3) else images.permute(0, 3, 1, 2)


def _of_possible_size(images: Pixels) -> Pixels:
    height, width = images.shape[1:3]
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise SourceError(
            f"images: found {sides((height, width))} pixels; expected sides of 1 to {MAX_SIDE}"
        )
    return np.ascontiguousarray(images)
