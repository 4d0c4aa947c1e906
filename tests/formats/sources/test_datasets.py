"""Datasets of a program as a source: what is taken, pixel by pixel, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from drrpack.core.errors import OptionError, SourceError
from drrpack.formats.sources.source import open_source

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)  # five images, 12 high, 10 wide
GREYS = COLOURS[..., 0]
LABELS = [1, 0, 1, 0, 1]


class Pairs:
    """A map-style dataset that counts how often it is asked for each item."""

    def __init__(self, images: Sequence[object], labels: Sequence[object], **more: object) -> None:
        self.items = list(zip(images, labels, strict=True))
        self.asked = [0] * len(self.items)
        vars(self).update(more)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> object:
        self.asked[index] += 1
        return self.items[index]


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


FORMS: dict[str, Any] = {
    "PIL": lambda image: Image.fromarray(image),
    "PIL with alpha": lambda image: Image.fromarray(image).convert("RGBA"),
    "numpy": lambda image: image,
    "tensor of bytes": as_tensor,
    "tensor of floats": lambda image: as_tensor(image).float() / 255,
    "tensor of doubles": lambda image: as_tensor(image).double() / 255,
}


@pytest.mark.parametrize("form", FORMS)
def test_images_in_colour(form: str) -> None:
    source = open_source(Pairs([FORMS[form](image) for image in COLOURS], LABELS))
    assert (source.root, source.kind, source.name) == (None, "dataset", "Pairs")
    assert (source.classes, source.images_per_class) == (("0", "1"), (2, 3))
    assert source.image_size == (12, 10) and not source.has_test
    np.testing.assert_array_equal(source.load(0), COLOURS[[1, 3]])
    np.testing.assert_array_equal(source.load(1), COLOURS[[0, 2, 4]])


@pytest.mark.parametrize(
    "form",
    [
        Image.fromarray,
        lambda grey: grey,
        lambda grey: grey[..., None],
        lambda grey: torch.from_numpy(grey)[None],
        lambda grey: torch.from_numpy(grey)[None] / 255,
    ],
    ids=["PIL", "(H, W)", "(H, W, 1)", "(1, H, W) bytes", "(1, H, W) floats"],
)
def test_grey_images(form: Any) -> None:
    source = open_source(Pairs([form(grey) for grey in GREYS], LABELS))
    np.testing.assert_array_equal(source.load(1), GREYS[[0, 2, 4]][..., None].repeat(3, -1))


def test_each_item_is_asked_for_once() -> None:
    pairs = Pairs(COLOURS, LABELS)
    source = open_source(pairs)
    source.load_all(), source.load_all(), source.digest()
    assert pairs.asked == [1] * 5


@pytest.mark.parametrize("label", [np.int64(3), torch.tensor(3), np.uint8(3)], ids=repr)
def test_labels_of_other_libraries(label: object) -> None:
    assert open_source(Pairs(COLOURS[:1], [label])).classes == ("3",)


def test_names_of_classes() -> None:
    names = ["cat", "dog", "eel"]
    for source in (
        open_source(Pairs(COLOURS, LABELS, classes=names)),
        open_source(Pairs(COLOURS, LABELS), class_names=names),
        open_source(Pairs(COLOURS, LABELS, classes=["wrong"] * 3), class_names=names),
    ):
        assert source.classes == ("cat", "dog"), "without images there is no class"
    only_dogs = open_source(Pairs(COLOURS[:1], [1], classes=names))
    assert (only_dogs.classes, only_dogs.labels) == (
        ("dog",),
        (1,),
    ) and only_dogs.images_per_class == (1,)


def test_a_dataset_that_raises() -> None:
    class Broken(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            raise RuntimeError("no such record") if index == 3 else KeyError(index)

    with pytest.raises(KeyError) as caught:
        open_source(Broken([0] * 5))
    assert "Broken[0]" in caught.value.__notes__[0]


def test_an_image_and_a_label_the_wrong_way_round() -> None:
    with pytest.raises(SourceError) as caught:
        open_source([(0, COLOURS[0])])
    assert "found the label array([[[" in str(caught.value) and len(str(caught.value)) < 200


def test_a_test_split() -> None:
    test = Pairs(COLOURS[:2], [1, 1])
    source = open_source(Pairs(COLOURS, LABELS), test=test)
    np.testing.assert_array_equal(source.load(1, "test"), COLOURS[:2])
    assert source.load(0, "test").shape == (0, 12, 10, 3) and source.has_test
    assert source.digest("test") != source.digest()


def test_the_digest_is_of_pixels_and_labels() -> None:
    digest = open_source(Pairs(COLOURS, LABELS)).digest()
    again = [Image.fromarray(image) for image in COLOURS]
    assert open_source(Pairs(again, LABELS)).digest() == digest
    assert open_source(Pairs(COLOURS[::-1], LABELS)).digest() != digest
    assert open_source(Pairs(COLOURS, [0, 0, 1, 0, 1])).digest() != digest
    assert open_source(Pairs(COLOURS ^ 1, LABELS)).digest() != digest


def test_sizes() -> None:
    mixed = [COLOURS[0], COLOURS[1][:8]]
    with pytest.raises(SourceError, match=r"Pairs: found images of 2 sizes.*give `size=N`"):
        open_source(Pairs(mixed, [0, 1]))
    source = open_source(Pairs(mixed, [0, 1]), size=8)
    assert source.load(0).shape == source.load(1).shape == (1, 8, 8, 3)


def test_deep_pictures_are_scaled_as_those_of_files() -> None:
    deep = Image.fromarray(np.full((4, 4), 4095, np.uint16))
    (remark,) = open_source(Pairs([deep], [0])).remarks
    assert "come out dark" in remark and "`depth=12`" in remark and "Pairs[0]" in remark
    assert open_source(Pairs([deep], [0]), depth=12).load(0).min() == 255
    (remark,) = open_source(Pairs(COLOURS, LABELS), depth=12).remarks
    assert "`depth=12` does nothing" in remark


FLOATS = torch.rand(3, 4, 4)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (COLOURS[0].astype(np.int64), r"an array \(12, 10, 3\) of int64"),
        (COLOURS[0] / 255, "of float64"),
        (COLOURS[0].transpose(2, 0, 1), r"an array \(3, 12, 10\)"),
        (COLOURS[0][..., :2], r"\(12, 10, 2\)"),
        (COLOURS, r"\(5, 12, 10, 3\)"),
        (GREYS[0][0], r"\(10,\)"),
        (torch.zeros(4, 4), r"a tensor \(4, 4\)"),
        (torch.zeros(4, 4, 3), r"a tensor \(4, 4, 3\)"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "of int64"),
        (FLOATS * 2 - 1, r"values from -0\.\d+ to 0\.\d+; expected floats from 0 to 1"),
        (FLOATS * 255, "leave Normalize out"),
        (FLOATS / 0, "NaN or infinite values; expected floats from 0 to 1"),
        ("cat.png", "an image of type str"),
        (None, "of type NoneType"),
        (np.zeros((0, 5, 3), np.uint8), "an image of 5x0"),
    ],
    ids=range(15),
)
def test_what_is_no_image(image: object, found: str) -> None:
    with pytest.raises(SourceError, match=rf"Pairs\[1\]: found .*{found}") as caught:
        open_source(Pairs([COLOURS[0], image], [0, 0]))
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    "label", ["cat", -1, 2**63, 2**70, 0.0, True, None, torch.tensor([1, 2])], ids=repr
)
def test_what_is_no_label(label: object) -> None:
    with pytest.raises(SourceError, match=r"Pairs\[0\]: found the label .* whole number"):
        open_source(Pairs(COLOURS[:1], [label]))


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ([], "list: found no items"),
        ([COLOURS[0]], r"list\[0\]: found ndarray; expected a pair \(image, label\)"),
        ([(COLOURS[0], 1, 2)], r"list\[0\]: found 3 values"),
        (iter([(COLOURS[0], 1)]), "list_iterator: found an object without len"),
        (7, "int: found an object without len"),
    ],
    ids=range(5),
)
def test_what_is_no_dataset(dataset: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(dataset)


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        (["cat"], OptionError, "the label 1 and 1 names"),
        ("cat", OptionError, "'cat' as names of classes"),
        ([1, 2], OptionError, "as names of classes"),
        (["cat", "Cat "], SourceError, "two classes of one name"),
    ],
)
def test_names_that_will_not_do(names: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_source(Pairs(COLOURS, LABELS), class_names=names)


def test_a_test_split_of_other_classes() -> None:
    with pytest.raises(SourceError, match="found the label 2, which no training image has"):
        open_source(Pairs(COLOURS, LABELS), test=Pairs(COLOURS[:1], [2]))


def test_folders_have_their_own_classes_and_splits(tmp_path: Any) -> None:
    for given in ({"class_names": ["cat"]}, {"test": Pairs(COLOURS, LABELS)}):
        with pytest.raises(OptionError, match="which is for a dataset of a program"):
            open_source(tmp_path, **given)
