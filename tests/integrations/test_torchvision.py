"""A memory where code expects one of torchvision's datasets."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR100
from torchvision.transforms import v2

from drrpack import DRRDataset, MissingError, SourceError
from drrpack.integrations.torchvision import DRRVision

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def vision(digits_drr: Path) -> DRRVision:
    return DRRVision(digits_drr)


def test_arguments_are_those_of_torchvision() -> None:
    theirs = inspect.signature(CIFAR100.__init__).parameters
    ours = inspect.signature(DRRVision.__init__).parameters
    assert [*ours][: len(theirs)] == [*theirs]
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default
        assert ours[name].kind == parameter.kind


def test_attributes_are_those_of_torchvision(vision: DRRVision, digits_drr: Path) -> None:
    pixels, labels = DRRDataset(digits_drr).to_numpy()
    assert vision.data.dtype == np.uint8 and vision.data.shape == (300, 32, 32, 3)
    assert np.array_equal(vision.data, pixels) and vision.targets == labels.tolist()
    assert vision.classes == [*"0123456789"] and vision.class_to_idx["7"] == 7
    assert "Number of datapoints: 300" in repr(vision) and "Split: Train" in repr(vision)


def test_items_are_pil_images(vision: DRRVision) -> None:
    image, label = vision[37]
    assert isinstance(image, Image.Image) and image.mode == "RGB" and label == 1
    assert np.array_equal(np.asarray(image), vision.data[37])


def with_transform(vision: DRRVision, transform: Callable[[Any], Any]) -> DRRVision:
    other = copy.copy(vision)
    other.transform = transform
    return other


def test_transforms_of_both_versions(vision: DRRVision) -> None:
    """ToTensor of version 1 and its successor give the same numbers, but for a rounding."""
    scale = v2.ToDtype(torch.float32, scale=True)
    old = with_transform(vision, transforms.Compose([transforms.ToTensor()]))
    new = with_transform(vision, v2.Compose([v2.ToImage(), scale]))
    tensors = with_transform(vision, scale)
    tensors.as_pil = False
    for number in (0, 120, 299):
        expected = old.data[number].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        for one in (old, new, tensors):
            assert np.allclose(one[number][0].numpy(), expected, rtol=1e-6, atol=0)


def test_tensors_and_labels_of_ones_own(digits_drr: Path) -> None:
    dataset = DRRVision(digits_drr, target_transform=lambda label: -label, as_pil=False)
    image, label = dataset[45]
    assert label == -1 and image.dtype == torch.uint8
    assert np.array_equal(image.numpy().transpose(1, 2, 0), dataset.data[45])


def test_what_is_assigned_is_followed(vision: DRRVision) -> None:
    """Code for incremental learning cuts `data` and `targets` to the classes of a task."""
    dataset = copy.copy(vision)
    kept = np.isin(dataset.targets, [3, 4])
    dataset.data, dataset.targets = dataset.data[kept], [t + 100 for t in (3, 4) for _ in range(30)]
    assert len(dataset) == 60 and dataset[59][1] == 104


def test_chosen_classes(vision: DRRVision, digits_drr: Path) -> None:
    dataset = DRRVision(digits_drr, classes=["7", "2"])
    assert dataset.classes == ["7", "2"] and dataset.class_to_idx == {"7": 0, "2": 1}
    assert np.array_equal(dataset.data[:30], vision.data[210:240])
    assert np.array_equal(dataset.data[30:], vision.data[60:90])


def test_test_images_are_those_of_the_source(digits_drr: Path, digits_folder: Path) -> None:
    dataset = DRRVision(digits_drr, train=False)
    assert len(dataset) == 80 and "Split: Test" in repr(dataset)
    files = sorted((digits_folder / "test").rglob("*.png"))
    expected = {(path.parent.name, np.asarray(Image.open(path)).tobytes()) for path in files}
    found = {
        (dataset.classes[label], np.asarray(image.convert("L")).tobytes())
        for image, label in (dataset[number] for number in range(80))
    }
    assert found == expected


def test_other_test_images(digits_drr: Path) -> None:
    picture = Image.new("RGB", (32, 32), (1, 2, 3))
    pairs = [(picture, 4), (picture, 4)]

    class Named(list[tuple[Image.Image, int]]):
        classes = tuple("0123456789")

    dataset = DRRVision(digits_drr, False, test=Named(pairs))
    assert dataset.targets == [4, 4] and (dataset.data == [1, 2, 3]).all()
    with pytest.raises(SourceError, match="found test images of none of the 1 classes in use"):
        DRRVision(digits_drr, False, test=Named(pairs), classes=["5"])


def test_without_test_images_the_error_says_what_to_do(
    own_drr: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DRRPACK_STATE", str(tmp_path / "nothing-remembered"))
    with pytest.raises(SourceError, match="say where they are with"):
        DRRVision(own_drr, train=False)
    with pytest.raises(MissingError):
        DRRVision(tmp_path / "none.drr")


def test_workers_and_copies(vision: DRRVision) -> None:
    dataset = with_transform(vision, transforms.ToTensor())
    loader = DataLoader(dataset, 100, num_workers=1, multiprocessing_context="fork")
    images = torch.cat([images for images, _ in loader])
    assert images.shape == (300, 3, 32, 32)
    assert np.array_equal((images.numpy() * 255).round().transpose(0, 2, 3, 1), dataset.data)
    assert np.array_equal(pickle.loads(pickle.dumps(vision)).data, vision.data)
