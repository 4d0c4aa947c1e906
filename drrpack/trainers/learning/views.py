"""Test-time augmentation: a class is told by several views of an image instead of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor

from drrpack.core.errors import MethodError, OptionError
from drrpack.trainers.learning import augment
from drrpack.trainers.learning.classifier import Classifier

TestAugmentation = Literal["none", "flip", "ten-crop"]
TEST_AUGMENTATIONS: tuple[TestAugmentation, ...] = get_args(TestAugmentation)


def get_test_augmentation(name: str) -> TestAugmentation:
    """The test-time augmentation of a name; raises OptionError."""
    for known in TEST_AUGMENTATIONS:
        if name == known:
            return known
    raise OptionError(
        f"`test_augmentation={name!r}`: say one of {', '.join(TEST_AUGMENTATIONS)}",
        option="test_augmentation",
    )


@runtime_checkable
class Scoring(Protocol):
    """A classifier whose answers can be averaged."""

    def scores(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 on any device -> (N, C) float32 on the CPU, of which the largest is
        the label; those of several views of an image are added."""


def predict(classifier: Classifier, images: Tensor, how: TestAugmentation) -> Tensor:
    """The labels (N,) int64 of images (N, H, W, 3) uint8, by the sum of the scores of their views.

    Raises MethodError for views beside the image itself where the classifier has no scores.
    """
    if how == "none":
        return classifier.predict(images)
    if not isinstance(classifier, Scoring):
        raise MethodError(
            f"`test_augmentation={how!r}`: found a classifier without scores, expected a method "
            "`scores(images)` of it whose sums over views can be compared; write one, or leave "
            "test_augmentation at 'none'"
        )
    total = sum(classifier.scores(view) for view in views(images, how))
    assert isinstance(total, Tensor)
    return total.argmax(1)


def views(images: Tensor, how: TestAugmentation) -> Iterator[Tensor]:
    """Views of images (N, H, W, 3) uint8, each of their shape.

    ``flip``: the images and their mirror images. ``ten-crop``: the same cut out of the middle and
    the four corners of the images with a black border (Krizhevsky et al. 2012), which is as wide as
    in training.
    """
    pad = augment.crop_pad(images.shape[1], images.shape[2])
    middle, corners = (pad, pad), [(0, 0), (0, 2 * pad), (2 * pad, 0), (2 * pad, 2 * pad)]
    for top, left in [middle, *corners] if how == "ten-crop" else [middle]:
        for flip in (False, True) if how != "none" else (False,):
            yield augment.flip_and_crop(images, _same(len(images), top, left, flip), pad)


def _same(count: int, top: int, left: int, flip: bool) -> augment.Draws:
    """One window for all images."""
    return augment.Draws(
        torch.full((count,), top),
        torch.full((count,), left),
        torch.full((count,), flip),
        torch.zeros(count, dtype=torch.int64),
    )
