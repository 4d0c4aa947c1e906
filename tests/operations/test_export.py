"""Exports: all codes are decoded together, and places that won't do are refused before that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drrpack import DRRDataset, DrrError, OptionError, OutputError
from drrpack.core.codec import Codec
from drrpack.core.errors import WriteError
from drrpack.core.progress import Step
from drrpack.operations.export import Exported, export

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = [("out", "png"), ("out", "webp"), ("out.npz", "npz")]


@pytest.fixture
def dataset(digits_drr: Path) -> DRRDataset:
    return DRRDataset(digits_drr, classes=[3, 1, 2], cache_bytes=0)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many classes the codes were decoded, for each time that some were."""
    calls: list[int] = []
    original = Codec.decompress

    def decompress(self: Codec, made: Any, shape: Any) -> Any:
        calls.append(len(made))
        return original(self, made, shape)

    monkeypatch.setattr(Codec, "decompress", decompress)
    return calls


def refused(dataset: DRRDataset, output: Path, kind: str | None) -> DrrError:
    """The error of an export that leaves everything as it was."""
    with pytest.raises((OutputError, OptionError)) as caught:
        export(dataset, output, kind)
    assert str(output) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_all_classes_are_decoded_together(
    dataset: DRRDataset, tmp_path: Path, name: str, kind: str, decoded: list[int]
) -> None:
    events: list[Any] = []
    made = export(dataset, tmp_path / name, kind, report=events.append)
    assert decoded == [3] and events[-1] == Step("images", 90, 90)
    assert made == Exported(tmp_path / name, kind, images=90, classes=3)
    assert os.listdir(tmp_path) == [name]
    expected, labels = dataset.to_numpy()
    if kind == "npz":
        with np.load(tmp_path / name) as found:
            np.testing.assert_array_equal(found["images"], expected)
            np.testing.assert_array_equal(found["labels"], labels)
    else:
        pictures = [p for c in dataset.classes for p in sorted((tmp_path / name / c).iterdir())]
        found_pixels = np.stack([np.asarray(Image.open(picture)) for picture in pictures])
        np.testing.assert_array_equal(found_pixels, expected)


def as_a_file(path: Path) -> None:
    path.write_bytes(b"mine")


def as_a_dead_link(path: Path) -> None:
    path.symlink_to(path.parent / "gone")


@pytest.mark.parametrize(("name", "kind"), KINDS)
@pytest.mark.parametrize("make", [as_a_file, as_a_dead_link, Path.mkdir])
def test_what_is_there_stays(
    dataset: DRRDataset, tmp_path: Path, name: str, kind: str, decoded: list[int],
    make: Callable[[Path], Any],
) -> None:  # fmt: skip
    make(tmp_path / name)
    before = os.lstat(tmp_path / name)
    error = refused(dataset, tmp_path / name, kind)
    assert "exists already; give another name, or remove it first" in str(error)
    assert error.exit_code == 2 and "--force" not in str(error)
    assert os.listdir(tmp_path) == [name] and not decoded
    after = os.lstat(tmp_path / name)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_names_that_the_system_refuses(
    dataset: DRRDataset, tmp_path: Path, name: str, kind: str, decoded: list[int]
) -> None:
    for output in (tmp_path / ("x" * 300 + name), tmp_path / ("x" * 300) / name):
        error = refused(dataset, output, kind)
        assert isinstance(error, WriteError) and error.exit_code == 6
        assert "the name is too long for the file system; give a shorter one" in str(error)
    assert isinstance(refused(dataset, tmp_path / ("\0" + name), kind), WriteError)
    assert os.listdir(tmp_path) == [] and not decoded


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_no_folder_to_write_into(
    dataset: DRRDataset, tmp_path: Path, name: str, kind: str, decoded: list[int]
) -> None:
    (tmp_path / "file").touch()
    for parent, fix in ((tmp_path / "gone", "; create it"), (tmp_path / "file", ", it is a file")):
        error = refused(dataset, parent / name, kind)
        assert f"there is no folder {parent}{fix}" in str(error)
    assert not decoded


def test_the_name_of_another_kind_of_file_is_no_folder(
    dataset: DRRDataset, tmp_path: Path, decoded: list[int]
) -> None:
    error = refused(dataset, tmp_path / "images.npy", None)
    assert "images.npy: no .npy file can be written" in str(error) and "NAME.npz" in str(error)
    assert os.listdir(tmp_path) == [] and not decoded
    assert export(dataset, tmp_path / "IMAGES.NPZ").format == "npz"
    assert (export(dataset, tmp_path / "images.npy", "png").path / dataset.classes[0]).is_dir()


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_no_permission(
    dataset: DRRDataset, tmp_path: Path, name: str, kind: str, decoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Told beforehand, when looking for the output, and by the first call that writes."""

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        assert "you may not write to that folder" in str(refused(dataset, tmp_path / name, kind))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", denied)
        assert refused(dataset, tmp_path / name, kind).exit_code == 6
    assert not decoded
    with monkeypatch.context() as patch:
        patch.setattr(*((os, "open") if kind == "npz" else (Path, "mkdir")), denied)
        error = refused(dataset.preload(), tmp_path / name, kind)
        assert error.exit_code == 6 and "you may not write to that folder" in str(error)
    assert os.listdir(tmp_path) == []
