"""Reported: fastai/fastai#1352: a training ended in "Expected more than 1 value per channel when
training", as its last batch held a single image; with larger images everything was fine.

Right: whatever number of images there is to learn from, and of whatever size, is learned from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from protocol_data import SMALL, DigitsData, run
from tiny_memory import TINY_PLAN

from drrpack.trainers.comparison import accuracy as compare_accuracy
from drrpack.trainers.comparison.accuracy import TrainPlan
from drrpack.trainers.fitting.codec import fit_codec
from drrpack.trainers.fitting.loop import Budget
from drrpack.trainers.incremental.methods import METHODS
from drrpack.trainers.learning.batches import epoch_batches
from drrpack.trainers.learning.network import new_network
from drrpack.trainers.learning.recipes import PAPER, get_recipe
from drrpack.trainers.learning.resnet import ResNet18
from drrpack.trainers.learning.training import train_network

pytestmark = pytest.mark.usefixtures("one_thread")


class SingleImages(DigitsData):
    """Digits of ``side`` pixels, one of a class to train on."""

    def __init__(self, side: int) -> None:
        super().__init__(1)
        self.images = np.ascontiguousarray(self.images[:, :side, :side])

    def exemplars(self, label: int) -> Any:
        return np.zeros(1, np.int64), self.raw([label])[0]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_base_of_one_image(name: str, tmp_path: Path) -> None:
    settings = SMALL | {"base": 1, "phases": 1, "width": 2}
    result = run(SingleImages(8), name, out=tmp_path, **settings)
    assert [phase.classes_seen for phase in result.phases] == [1, 10]
    assert all(np.isfinite(phase.losses).all() for phase in result.phases)


def test_phases_of_one_image(tmp_path: Path) -> None:
    settings = SMALL | {"base": 8, "phases": 2, "width": 2}
    result = run(SingleImages(5), "finetune", out=tmp_path, **settings)
    assert len(result.phases) == 3


def test_the_two_views_are_of_the_one_image() -> None:
    image = torch.arange(8 * 8 * 3, dtype=torch.uint8).view(1, 8, 8, 3)
    recipe, views = get_recipe("fast", 8), []
    for epoch in range(8):
        (batch,) = epoch_batches(image, torch.tensor([5]), recipe, 0, epoch)
        assert batch.images.shape == (2, 3, 8, 8)
        assert batch.labels.tolist() == [5, 5] and batch.indices.tolist() == [0, 0]
        views.append(torch.equal(*batch.images))
    assert not all(views), "two views of one image, not one view twice"


@pytest.mark.parametrize("count", [2, PAPER.batch_size, PAPER.batch_size + 1])
def test_no_batch_is_of_one_image(count: int) -> None:
    images = torch.zeros(count, 8, 8, 3, dtype=torch.uint8)
    batches = list(epoch_batches(images, torch.zeros(count).long(), PAPER, 0, 0))
    assert min(len(batch.images) for batch in batches) > 1
    assert sorted(torch.cat([batch.indices for batch in batches]).tolist()) == list(range(count))


def test_the_classifier_that_compares() -> None:
    images, labels = np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, np.int64)
    plan = TrainPlan(torch.device("cpu"), epochs=1, width=4)
    assert compare_accuracy.accuracy((images, labels), (images, labels), plan, 0) == 100


def test_the_classifier_behind_a_codec() -> None:
    """Two classes are the fewest that it tells apart, so two images."""
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    plan = TINY_PLAN(Budget(epochs=1), torch.device("cpu"))
    codecs, log = fit_codec(images, plan, labels=np.arange(2))
    assert len(codecs) > 0 and log["features"]["steps"] > 0


def test_many_images_are_trained_on_as_they_were() -> None:
    """The order and the crops of the very batches that seeds have always given."""
    images = torch.randint(0, 256, (5, 8, 8, 3), generator=torch.Generator().manual_seed(0)).byte()
    (batch,) = epoch_batches(images, torch.arange(5), get_recipe("fast", 1), 7, 0)
    generator = torch.Generator().manual_seed(7)
    assert batch.indices.tolist() == torch.randperm(5, generator=generator).tolist()
    trained = train_network(
        new_network(lambda: ResNet18(5, 4), 7), images, torch.arange(5), seen=5,
        recipe=get_recipe("fast", 1), seed=7, device=torch.device("cpu"),
    )  # fmt: skip
    assert np.isfinite(trained.log.losses).all()
