"""CIFAR in its own layout, damaged, malicious, and fetched."""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_folders import noise, refused

from drrpack.core.errors import OptionError, SourceError
from drrpack.formats.sources.source import download, open_source


def pickled(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))


def batch(count: int, key: bytes, classes: int) -> dict[bytes, object]:
    return {
        b"data": noise(count, 3072),
        key: [(7 * i) % classes for i in range(count)],
        b"filenames": [b"%d.png" % i for i in range(count)],
        b"batch_label": b"training batch",
    }


@pytest.fixture
def cifar100(tmp_path: Path) -> Path:
    """Three classes in the layout of CIFAR-100."""
    root = tmp_path / "data" / "cifar-100-python"
    pickled(root / "meta", {b"fine_label_names": [b"train", b"apple", b"bee"]})
    pickled(root / "train", batch(11, b"fine_labels", 3))
    pickled(root / "test", batch(5, b"fine_labels", 3))
    (root / "file.txt~").touch()
    return root


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    root = tmp_path / "data" / "cifar-10-batches-py"
    pickled(root / "batches.meta", {b"label_names": [b"plane", b"car"], b"num_vis": 3072})
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        pickled(root / name, batch(4, b"labels", 2))
    return root


def as_images(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Planes of red, green and blue, 1024 each, row by row."""
    images = np.empty((len(data), 32, 32, 3), np.uint8)
    for channel in range(3):
        images[..., channel] = data[:, channel * 1024 : (channel + 1) * 1024].reshape(-1, 32, 32)
    return images


def test_cifar100(cifar100: Path) -> None:
    source = open_source(cifar100)
    raw = pickle.loads((cifar100 / "train").read_bytes())
    assert source.classes == ("train", "apple", "bee") and source.kind == "cifar"
    assert source.images_per_class == (4, 4, 3) and source.image_size == (32, 32)
    assert source.has_test
    labels = np.array(raw[b"fine_labels"])
    for i in range(3):
        np.testing.assert_array_equal(source.load(i), as_images(raw[b"data"])[labels == i])
    images, labels = source.load_all("test")
    assert images.shape == (5, 32, 32, 3) and labels.tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(SourceError, match="no files of their own"):
        source.paths(0)


def test_cifar_as_python_2_wrote_it(cifar100: Path) -> None:
    """Text strings as keys, numpy.core, the array's bytes as a string: the genuine opcodes."""
    data = noise(2, 3072)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + (6144).to_bytes(4, "little") + data.tobytes() + b"tb"
    )
    text = b"\x80\x02}(U\x04data" + array + b"U\x0bfine_labels](K\x01K\x00eu."
    (cifar100 / "test").write_bytes(text)
    np.testing.assert_array_equal(pickle.loads(text, encoding="latin1")["data"], data)
    pickled(cifar100 / "meta", {b"fine_label_names": [b"a", b"b"]})
    pickled(cifar100 / "train", batch(4, b"fine_labels", 2))
    images, labels = open_source(cifar100).load_all("test")
    np.testing.assert_array_equal(images, as_images(data)[::-1])
    assert labels.tolist() == [0, 1]


def test_cifar10(cifar10: Path) -> None:
    source = open_source(cifar10.parent)
    assert source.root == cifar10.parent and source.classes == ("plane", "car")
    assert source.images_per_class == (10, 10) and len(source.load_all("test")[0]) == 4


def test_cifar_under_another_name(cifar100: Path, tmp_path: Path) -> None:
    moved = cifar100.rename(tmp_path / "renamed")
    assert open_source(moved).kind == "cifar"


def test_cifar_resized(cifar100: Path) -> None:
    source = open_source(cifar100, size=16)
    assert source.image_size == (16, 16) and source.load(0).shape == (4, 16, 16, 3)
    assert source.digest() == open_source(cifar100).digest()


def test_cifar_one_split(cifar100: Path) -> None:
    source = open_source(cifar100, splits=["test"])
    assert source.images_per_class == (4, 4, 3) and len(source.load_all("test")[1]) == 5
    (cifar100 / "test").unlink()
    assert not open_source(cifar100, splits=["train"]).has_test
    refused(cifar100, str(cifar100 / "test"), "No such file", "`download='cifar100'`")


def test_cifar_digest(cifar100: Path, tmp_path: Path) -> None:
    digest = open_source(cifar100).digest()
    shutil.copytree(cifar100, tmp_path / "copy" / "cifar-100-python")
    assert open_source(tmp_path / "copy").digest() == digest
    content = bytearray((cifar100 / "train").read_bytes())
    content[content.index(b"training batch")] ^= 1
    (cifar100 / "train").write_bytes(content)
    assert open_source(cifar100).digest() != digest


def test_two_cifars(cifar100: Path, cifar10: Path) -> None:
    refused(cifar10.parent, "found two data sets", "cifar-100-python", "cifar-10-batches-py")


def test_a_malicious_pickle_is_not_run(cifar100: Path, tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "owned"),)

    for name in ("train", "test", "meta"):
        content = (cifar100 / name).read_bytes()
        pickled(cifar100 / name, {b"data": Malicious()})
        refused(cifar100, str(cifar100 / name), "mkdir", "not run", "`download='cifar100'`")
        (cifar100 / name).write_bytes(content)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("call", [b"cbuiltins\neval\n", b"cnumpy\nload\n", b"cnumpy.core\nos\n"])
def test_no_other_global_is_admitted(cifar100: Path, call: bytes) -> None:
    (cifar100 / "train").write_bytes(b"\x80\x02" + call + b"U\x01x\x85R.")
    refused(cifar100, call.split(b"\n")[1].decode(), "not run")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("meta", {b"coarse_label_names": []}, "no list 'fine_label_names'"),
        ("meta", {b"fine_label_names": [1, 2]}, "no text"),
        ("meta", {b"fine_label_names": [b"\xff"]}, "not UTF-8"),
        ("meta", {b"fine_label_names": [b"a", b"A", b"b"]}, "two classes of one name"),
        ("meta", {b"fine_label_names": [b"a", b"b", b"c", b"d"]}, "no pictures of the class 'd'"),
        ("train", [1], "a pickled list"),
        ("train", {b"fine_labels": [0]}, "no array 'data'"),
        ("train", {b"data": b"x" * 3072, b"fine_labels": [0]}, "no array 'data'"),
        ("train", {b"data": np.zeros((1, 3072)), b"fine_labels": [0]}, "no array 'data'"),
        ("train", {b"data": np.zeros((1, 3071), np.uint8), b"fine_labels": [0]}, "no array"),
        ("train", {b"data": np.array([None])}, "no array 'data'"),
        ("train", {b"data": noise(2, 3072), b"fine_labels": [0]}, "no 2 'fine_labels'"),
        ("train", {b"data": noise(2, 3072), b"fine_labels": [0, 3]}, "a label out of range"),
        ("train", {b"data": noise(2, 3072), b"fine_labels": [0, -1]}, "a label out of range"),
        ("train", {b"data": noise(2, 3072), b"fine_labels": [0, "x"]}, "a label out of range"),
    ],
)
def test_cifar_not_as_it_must(cifar100: Path, name: str, content: object, found: str) -> None:
    pickled(cifar100 / name, content)
    refused(cifar100, str(cifar100), found)


@pytest.mark.parametrize("keep", [0, 1, 100, 5000])
def test_cifar_truncated(cifar100: Path, keep: int) -> None:
    (cifar100 / "train").write_bytes((cifar100 / "train").read_bytes()[:keep])
    refused(cifar100, str(cifar100 / "train"), "`download='cifar100'`")


class FakeDataset:
    url = "https://example.org/cifar.tar.gz"
    error: Exception | None = None

    def __init__(self, root: str, download: bool) -> None:
        if self.error is not None:
            raise self.error


def fake_torchvision(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    class Datasets:
        CIFAR10 = CIFAR100 = type("Fake", (FakeDataset,), {"error": error})

    monkeypatch.setattr(importlib, "import_module", lambda name: Datasets)


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torchvision(monkeypatch, None)
    assert download("cifar100", tmp_path) == tmp_path / "cifar-100-python"
    assert download("cifar10", tmp_path) == tmp_path / "cifar-10-batches-py"


@pytest.mark.parametrize(
    "error", [OSError("no route"), RuntimeError("File not found or corrupted")]
)
def test_download_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    fake_torchvision(monkeypatch, error)
    with pytest.raises(SourceError, match=f"example.org.*: {error}; expected .*by other means"):
        download("cifar100", tmp_path)


def test_download_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"`download='mnist'`: .* one of cifar10, cifar100"):
        download("mnist", tmp_path)
