"""`drrpack.replay`: memory and new images in one DataLoader."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision.transforms import v2

import drrpack
from drrpack import DRRDataset, OptionError, SourceError
from drrpack.integrations.torchvision import DRRVision

pytestmark = pytest.mark.usefixtures("one_thread")

OLD, NEW = [*"01234567"], ["8", "9"]  # the memory's classes in most tests, and the task's


class Pictures(list[tuple[Any, int]]):
    """A map-style dataset with names: one-coloured pictures, whose red says which one it is."""

    classes = ("8", "9", "unused", "3")


def pictures(count: int = 40, side: int = 32) -> Pictures:
    """Half of them of the label 0, half of the label 1."""
    return Pictures(
        (Image.new("RGB", (side, side), (n, 255, 255)), n * 2 // count) for n in range(count)
    )


@pytest.fixture(scope="module")
def memory(digits_drr: Path) -> DRRDataset:
    return DRRDataset(digits_drr, classes=OLD)


def epoch(loader: DataLoader[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    found = [*loader]
    return torch.cat([x for x, _ in found]), torch.cat([y for _, y in found])


def is_new(images: Tensor) -> Tensor:
    return (images[:, 1:] == 255).flatten(1).all(1)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.7, "proportional", "balanced"])
def test_shares_and_every_new_image_once(memory: DRRDataset, share: Any) -> None:
    part = {"proportional": 240 / 280, "balanced": 8 / 10}.get(share, share)
    loader = drrpack.replay(memory, pictures(), batch_size=16, share=share)
    reds = []
    for images, labels in loader:
        new = is_new(images)
        assert abs(int((~new).sum()) - part * len(images)) <= 1
        assert torch.equal(new, labels >= 8)
        reds += images[new, 0, 0, 0].tolist()
        if share == "balanced":
            counts = np.bincount(labels, minlength=10)
            assert np.ptp(counts[:8]) <= 1 and np.ptp(counts[8:]) <= 1
    assert sorted(reds) == [*range(40)]
    assert len(loader) == -(-round(40 / (1 - part)) // 16)


def test_proportional_shows_everything_once(memory: DRRDataset) -> None:
    images, labels = epoch(drrpack.replay(memory, pictures(), share="proportional"))
    expected = memory.to_numpy()[0].transpose(0, 3, 1, 2)
    old = images[~is_new(images)].numpy()
    assert Counter(image.tobytes() for image in old) == Counter(x.tobytes() for x in expected)
    assert torch.bincount(labels).tolist() == [30] * 8 + [20] * 2
    assert images.dtype == torch.uint8 and labels.dtype == torch.int64


def test_labels_belong_to_their_images(memory: DRRDataset) -> None:
    x, y = memory.to_numpy()
    label_of = {x[n].transpose(2, 0, 1).tobytes(): int(y[n]) for n in range(len(x))}
    images, labels = epoch(drrpack.replay(memory, pictures(), share=0.5))
    for image, label in zip(images, labels.tolist(), strict=True):
        red = int(image[0, 0, 0])
        assert label == (
            8 + red // 20 if is_new(image[None]) else label_of[image.numpy().tobytes()]
        )


def test_names_are_united(memory: DRRDataset) -> None:
    """Classes of the same name are one; a name without an image is no class."""
    data = Pictures([*pictures(4), (Image.new("RGB", (32, 32), "white"), 3)])
    loader: Any = drrpack.replay(memory, data, share=0.5)
    assert loader.dataset.classes == (*OLD, "8", "9")
    assert loader.dataset.class_to_idx["9"] == 9
    assert loader.dataset.targets[:5].tolist() == [8, 8, 9, 9, 3]
    images, labels = epoch(loader)
    assert labels[(images == 255).flatten(1).all(1)].tolist() == [3]


def test_names_that_look_alike_are_united_as_those_of_files(digits_drr: Path) -> None:
    old = DRRDataset(digits_drr, classes=["0", "1", "2"])
    old.classes = ["apple", "Caf\u00e9", "pear"]
    loader: Any = drrpack.replay(old, pictures(), class_names=["Apple", "cafe\u0301 "])
    assert loader.dataset.classes == ("apple", "Caf\u00e9", "pear")
    assert set(loader.dataset.targets[:40].tolist()) == {0, 1}
    loader = drrpack.replay(old, pictures(), class_names=["kiwi", "Kiwi"])
    assert loader.dataset.classes == (*old.classes, "kiwi", "Kiwi"), "two labels of one dataset"
    loader = drrpack.replay(old, pictures(), class_names=["Pear", "Pear"])
    assert set(loader.dataset.targets[:40].tolist()) == {2}
    old.classes = ["apple", "Apple", "pear"]
    with pytest.raises(OptionError, match=r"new data: .*'APPLE', which may be 'apple' and 'Apple'"):
        drrpack.replay(old, pictures(), class_names=["APPLE", "kiwi"])


def test_a_class_of_both_is_seen_as_often_as_others(memory: DRRDataset) -> None:
    """Class 3 in 30 old and 10 new images, class 8 in 10 new ones: 1/9 of all for each of nine
    classes, 3/36 and 1/36 of it from the two sides; 20 new images are 1/9 + 1/36 of 144."""
    data = Pictures((Image.new("RGB", (32, 32), (n, 255, 255)), 3 * (n % 2)) for n in range(20))
    images, labels = epoch(drrpack.replay(memory, data, batch_size=36))
    assert len(labels) == 144 and int(is_new(images).sum()) == 20
    counts = torch.bincount(labels, minlength=9)
    # the two new classes have 10 images each, which come once; of 16 wanted of each class
    assert counts.sum() == 144 and (counts[[0, 1, 2, 4, 5, 6, 7]] - 16).abs().max() <= 1
    assert counts[8] == 10 and 20 <= counts[3] <= 24


def test_labels_without_names(memory: DRRDataset) -> None:
    plain = [*pictures()]
    with pytest.raises(OptionError, match=r"`label_offset=8` if they start from 0"):
        drrpack.replay(memory, plain)
    loader: Any = drrpack.replay(memory, plain, label_offset=8)
    assert loader.dataset.classes == (*OLD, "8", "9")
    assert set(epoch(loader)[1].tolist()) == {*range(10)}
    named: Any = drrpack.replay(memory, plain, class_names=["nine", "two"])
    assert named.dataset.classes == (*OLD, "nine", "two")
    for wrong in (dict(label_offset=-1), dict(class_names=["one"]), dict(label_offset=0.5),
                  dict(class_names=["a", "b"], label_offset=0)):  # fmt: skip
        with pytest.raises(OptionError):
            drrpack.replay(memory, plain, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "share", [np.float32(0.25), np.float64(0.25), np.float16(0.25), Fraction(1, 4)]
)
def test_shares_of_other_kinds_of_number(memory: DRRDataset, share: Any) -> None:
    plain, found = (
        [*drrpack.replay(memory, pictures(), share=part).batch_sampler] for part in (0.25, share)
    )
    assert [list(batch) for batch in found] == [list(batch) for batch in plain]


@pytest.mark.parametrize(
    "share",
    [0, 1, 1.5, -0.1, "half", True, float("nan"), None, np.float32(1), np.float32("nan"), 1j,
     np.bool_(True), Fraction(3, 2)],
)  # fmt: skip
def test_shares_that_are_none(memory: DRRDataset, share: Any) -> None:
    with pytest.raises(OptionError, match="expected 'balanced', 'proportional' or a number"):
        drrpack.replay(memory, pictures(), share=share)


def _as_array(image: Image.Image) -> object:
    return np.asarray(image)


def _as_tensor(image: Image.Image) -> object:
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())


@pytest.mark.parametrize("form", [_as_array, _as_tensor])
def test_forms_of_new_images(memory: DRRDataset, form: Callable[[Image.Image], object]) -> None:
    """Arrays and tensors give the batches that PIL images give."""
    other = Pictures((form(image), label) for image, label in pictures())
    expected, found = (epoch(drrpack.replay(memory, new, share=0.5)) for new in (pictures(), other))
    assert torch.equal(expected[0], found[0]) and torch.equal(expected[1], found[1])


def test_a_transform_is_applied_to_both(memory: DRRDataset) -> None:
    scale = v2.Compose([v2.Resize(16), v2.ToDtype(torch.float32, scale=True)])
    images, _ = epoch(drrpack.replay(memory, pictures(side=48), share=0.5, transform=scale))
    assert images.shape == (80, 3, 16, 16) and images.dtype == torch.float32
    assert images.max() <= 1


def test_forms_that_differ(memory: DRRDataset, digits_drr: Path) -> None:
    said = (
        "memory: found an image (3, 32, 32) of torch.uint8, expected (3, 16, 16) of torch.uint8 as "
        "in new data: give `transform`"
    )
    with pytest.raises(SourceError, match=re.escape(said)):
        drrpack.replay(memory, pictures(side=16))
    floats = TensorDataset(
        torch.zeros(4, 3, 32, 32, dtype=torch.float32), torch.tensor([8, 8, 9, 9])
    )
    with pytest.raises(SourceError, match=r"torch\.float32"):
        drrpack.replay(memory, floats, label_offset=0)
    scaled = DRRDataset(digits_drr, classes=OLD, transform=v2.ToDtype(torch.float32, scale=True))
    images, labels = epoch(drrpack.replay(scaled, floats, label_offset=0, share=0.5))
    assert images.dtype == torch.float32 and sorted(labels.tolist())[-4:] == [8, 8, 9, 9]


def test_form_of_a_later_image(memory: DRRDataset) -> None:
    data = Pictures([*pictures(10), (Image.new("RGB", (8, 8)), 1)])
    with pytest.raises(SourceError, match=r"expected .* as in"):
        epoch(drrpack.replay(memory, data))


@pytest.mark.parametrize("item", ["image", (1, 2, 3), (Image.new("RGB", (8, 8)), "cat"), ("x", 1)])
def test_items_that_are_no_pairs(memory: DRRDataset, item: Any) -> None:
    with pytest.raises(SourceError, match=r"new data\[0\]: found"):
        drrpack.replay(memory, [item], label_offset=8)
    with pytest.raises(SourceError, match="found no images"):
        drrpack.replay(memory, [], label_offset=8)


def test_changed_labels_are_refused(digits_drr: Path) -> None:
    changed = DRRDataset(digits_drr, target_transform=lambda label: label + 1)
    with pytest.raises(SourceError, match="without a target_transform"):
        drrpack.replay(changed, pictures())


def test_a_path_and_parts_of_torchvision_datasets(memory: DRRDataset, digits_drr: Path) -> None:
    """A task as a subset: labels and names of the whole; a target_transform is followed."""
    whole = DRRVision(digits_drr)
    task = Subset(whole, np.flatnonzero(np.array(whole.targets) >= 8).tolist())
    loader: Any = drrpack.replay(memory, task, share=0.5)
    assert loader.dataset.classes == (*OLD, *NEW)
    assert loader.dataset.targets[:60].tolist() == [8] * 30 + [9] * 30
    whole.target_transform = lambda label: 17 - label
    loader = drrpack.replay(digits_drr, task, share=0.5, label_offset=0)
    assert loader.dataset.classes == (*OLD, *NEW) and len(loader.dataset) == 360
    assert loader.dataset.targets[:60].tolist() == [9] * 30 + [8] * 30


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_give_the_same_batches(memory: DRRDataset, context: str) -> None:
    expected = drrpack.replay(memory, pictures(), share=0.5, batch_size=32)
    found = drrpack.replay(
        memory, pictures(), share=0.5, batch_size=32,
        num_workers=1, multiprocessing_context=context, persistent_workers=True,
    )  # fmt: skip
    for _ in range(2):  # epochs: persistent workers must follow to the second
        for one, other in zip(epoch(expected), epoch(found), strict=True):
            assert torch.equal(one, other)


def test_random_state_and_seeds(memory: DRRDataset) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    loaders = [drrpack.replay(memory, pictures(), seed=seed) for seed in (1, 1, 2)]
    first, same, other = (epoch(loader)[1] for loader in loaders)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_a_replay_buffer_is_no_memory_of_it(digits_drr: Path) -> None:
    buffer = drrpack.ReplayBuffer(digits_drr, 10_000)
    with pytest.raises(OptionError, match="`memory`: found ReplayBuffer, expected a"):
        drrpack.replay(buffer, drrpack.DRRDataset(digits_drr), label_offset=0)  # type: ignore[arg-type]
