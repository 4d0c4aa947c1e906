"""Memories as datasets of Hugging Face, and the other way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import drrpack
from drrpack import DRRDataset, OptionError, SourceError

datasets = pytest.importorskip("datasets", reason='pip install "drrpack[datasets]"')

from drrpack.integrations.huggingface import from_hf, labelled, to_hf  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def made(label: Any = None, **columns: Any) -> Any:
    """24 pictures of two classes, "cat" and "dog"."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    feature = datasets.ClassLabel(names=["cat", "dog"]) if label is None else label
    features = {"picture": datasets.Image(), "kind": feature}
    rows = {"picture": [*map(Image.fromarray, pixels)], "kind": [n % 2 for n in range(24)]}
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def test_to_hf_has_the_pixels_and_the_names(digits_drr: Path) -> None:
    memory = DRRDataset(digits_drr, classes=["7", "2"])
    found = to_hf(memory)
    pixels, labels = memory.to_numpy()
    assert isinstance(found.features["image"], datasets.Image)
    assert found.features["label"] == datasets.ClassLabel(names=["7", "2"])
    assert found["label"][:] == labels.tolist()
    for number in (0, 31, 59):
        assert np.array_equal(np.asarray(found[number]["image"]), pixels[number])


def test_from_hf_is_encode_of_the_same_images(tmp_path: Path) -> None:
    data = made()
    stats = from_hf(datasets.DatasetDict(train=data, test=data.select([0, 1])), tmp_path / "a.drr",
                    device="cpu")  # fmt: skip
    pairs = [(row["picture"], row["kind"]) for row in data]
    drrpack.encode(pairs, tmp_path / "b.drr", class_names=["cat", "dog"], device="cpu")
    one, other = (DRRDataset(tmp_path / name) for name in ("a.drr", "b.drr"))
    assert (stats.images, one.classes, one.targets) == (24, ["cat", "dog"], [0] * 12 + [1] * 12)
    assert np.array_equal(one.to_numpy()[0], other.to_numpy()[0])
    assert [*one.reader.metadata["sources"][0]["digest"]] == ["train", "test"]


def test_labelled_serves_replay(digits_drr: Path) -> None:
    data = labelled(to_hf(DRRDataset(digits_drr, classes=["8", "9"])))
    memory = DRRDataset(digits_drr, classes=["0", "1"])
    loader: Any = drrpack.replay(memory, data, share=0.5)
    assert loader.dataset.classes == ("0", "1", "8", "9")
    assert sum(int((labels >= 2).sum()) for _, labels in loader) == 60


def test_columns_and_splits() -> None:
    data = made()
    assert (labelled(data).image, labelled(data).label) == ("picture", "kind")
    twice = data.add_column("second", data["kind"][:])
    twice = twice.cast_column("second", data.features["kind"])
    with pytest.raises(OptionError, match="found 2 columns with the feature ClassLabel"):
        labelled(twice)
    assert labelled(twice, label="second").label == "second"
    with pytest.raises(OptionError, match="found no column 'x'"):
        labelled(data, image="x")
    numbers = made(datasets.Value("int64")).rename_column("kind", "label")
    assert labelled(numbers).classes is None and labelled(numbers)[1][1] == 1
    with pytest.raises(SourceError, match="a DatasetDict with a split 'train'"):
        from_hf(datasets.DatasetDict(other=data), "never.drr")
