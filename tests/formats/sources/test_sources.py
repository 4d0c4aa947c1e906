"""Image folders as a source: what is read, and the digest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from picture_folders import noise, refused, save

from drrpack.core.errors import SourceError
from drrpack.formats.sources.source import Source, open_source


def test_a_flat_folder(folder: Path) -> None:
    source = open_source(folder)
    assert (source.root, source.kind, source.classes) == (folder, "folder", ("cat", "dog"))
    assert (source.image_size, source.images_per_class) == ((8, 8), (2, 2))
    assert not source.has_test and source.bad == ()
    images, labels = source.load_all()
    assert images.shape == (4, 8, 8, 3) and images.dtype == np.uint8
    assert labels.tolist() == [0, 0, 1, 1] and labels.dtype == np.int64


def test_a_relative_path_becomes_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert open_source("src").root == folder


def test_order_is_by_file_name(tmp_path: Path) -> None:
    pictures = {name: noise(4, 4, 3) for name in ("10.png", "9.png", "B.png", "a.png")}
    for name in ("a.png", "9.png", "10.png", "B.png"):
        save(tmp_path / "c" / name, pictures[name])
    source = open_source(tmp_path)
    assert [path.name for path in source.paths(0)] == sorted(pictures)
    np.testing.assert_array_equal(source.load(0), [pictures[name] for name in sorted(pictures)])


def test_load_gives_the_caller_its_own_copy(folder: Path) -> None:
    source = open_source(folder)
    before = source.load(0)
    source.load(0)[:] = 0
    np.testing.assert_array_equal(source.load(0), before)


def test_pixels_are_decoded_again_beyond_the_budget(folder: Path) -> None:
    kept = open_source(folder)
    again = open_source(folder, keep_bytes=3 * 8 * 8 * 3)
    np.testing.assert_array_equal(kept.load_all()[0], again.load_all()[0])
    save(folder / "dog" / "1.png")
    kept.load(1)
    with pytest.raises(SourceError, match=r"dog.1\.png: changed since the source was opened"):
        again.load(1)


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation", "Val", "TEST"])
def test_a_divided_folder(tmp_path: Path, folder: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "both" / "train")
    picture = noise(8, 8, 3)
    save(tmp_path / "both" / name / "dog" / "x.png", picture)
    (tmp_path / "both" / "classes.txt").write_text("cat dog")
    source = open_source(tmp_path / "both")
    assert source.has_test and source.images_per_class == (2, 2)
    images, labels = source.load_all("test")
    np.testing.assert_array_equal(images, picture[None])
    assert labels.tolist() == [1] and source.load(0, "test").shape == (0, 8, 8, 3)
    assert source.digest() == open_source(folder).digest() != source.digest("test")
    only = open_source(tmp_path / "both", splits=["test"])
    np.testing.assert_array_equal(only.load(1, "test"), picture[None])
    assert only.classes == ("cat", "dog") and only.images_per_class == (2, 2)
    with pytest.raises(SourceError, match="no train split"):
        only.load(1)


def test_test_goes_before_val(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "both" / "train")
    for name in ("val", "test"):
        save(tmp_path / "both" / name / "dog" / f"{name}.png")
    assert open_source(tmp_path / "both").paths(1, "test")[0].name == "test.png"


@pytest.mark.parametrize("names", [("val", "validation"), ("test", "Test"), ("valid", "Valid")])
def test_one_split_under_two_names(tmp_path: Path, folder: Path, names: tuple[str, str]) -> None:
    shutil.copytree(folder, tmp_path / "both" / "train")
    for name in names:
        save(tmp_path / "both" / name / "dog" / "0.png")
    if len(os.listdir(tmp_path / "both")) < 3:
        pytest.skip("this file system makes one folder of the two")
    refused(tmp_path / "both", *names, "the same split", "move the other away")


def test_a_training_split_in_capitals(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "both" / "Train")
    save(tmp_path / "both" / "Test" / "dog" / "0.png")
    source = open_source(tmp_path / "both")
    assert source.classes == ("cat", "dog") and source.has_test and not source.remarks


@pytest.mark.parametrize("name", ["testing", "eval", "dev", "train2", "café"])
def test_a_split_that_is_left_out(tmp_path: Path, folder: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "both" / "train")
    shutil.copytree(folder, tmp_path / "both" / "val")
    save(tmp_path / "both" / name / "dog" / "0.png")
    source = open_source(tmp_path / "both")
    (remark,) = source.remarks
    assert str(tmp_path / "both" / name) in remark and "'dog'" in remark and "rename" in remark
    assert source.paths(1, "test")[0].parts[-3] == "val"


@pytest.mark.parametrize("names", [("test", "valid"), ("test", "val", "masks/0"), ("docs/a",)])
def test_nothing_to_tell_of(tmp_path: Path, folder: Path, names: tuple[str, ...]) -> None:
    """What served for tuning beside a test split is known, and other folders are no splits."""
    shutil.copytree(folder, tmp_path / "both" / "train")
    for name in names:
        save(tmp_path / "both" / name / ("dog" if "/" not in name else "x") / "0.png")
    assert not open_source(tmp_path / "both").remarks


def test_a_class_named_train(folder: Path) -> None:
    """CIFAR-100 has one."""
    save(folder / "train" / "0.png")
    assert open_source(folder).classes == ("cat", "dog", "train")


def test_no_test_split(folder: Path) -> None:
    refused(folder, "no test split", "test/ (or val/)", splits=["test"])
    for ask in (Source.load_all, Source.digest):
        with pytest.raises(SourceError, match=r"src: found no test split.*test/ \(or val/\)"):
            ask(open_source(folder), "test")


def test_hidden_files_are_ignored(folder: Path) -> None:
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/._0.png", "README.md"):
        (folder / name).write_bytes(b"no picture")
    save(folder / ".ipynb_checkpoints" / "0.png")
    save(folder / "dog" / ".cache" / "0.png")
    assert open_source(folder).images_per_class == (2, 2)


def test_links_are_followed(tmp_path: Path, folder: Path) -> None:
    linked = tmp_path / "linked"
    (linked / "cat").mkdir(parents=True)
    for i in (0, 1):
        (linked / "cat" / f"{i}.png").symlink_to(folder / "cat" / f"{i}.png")
    (linked / "dog").symlink_to(folder / "dog", target_is_directory=True)
    assert open_source(linked).digest() == open_source(folder).digest()


def test_loops_do_not_hang(folder: Path) -> None:
    (folder / "cat" / "loop.png").symlink_to(folder / "cat" / "loop.png")
    refused(folder, "loop.png: can't be opened")
    (folder / "cat" / "up").symlink_to(folder, target_is_directory=True)
    refused(folder, "up: found a folder inside the class 'cat'")


def test_importing_needs_no_torch() -> None:
    code = "import sys, drrpack.formats.sources.source; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_digest_is_the_contents(tmp_path: Path, folder: Path) -> None:
    digest = open_source(folder).digest()
    shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    for path in (tmp_path / "elsewhere" / "copy").rglob("*.png"):
        os.utime(path, (1, 1))
    assert open_source(tmp_path / "elsewhere" / "copy").digest() == digest
    picture = folder / "dog" / "1.png"
    content = picture.read_bytes()
    picture.write_bytes(content + b"x")  # pixels as before
    assert open_source(folder).digest() != digest
    picture.write_bytes(content)
    assert open_source(folder).digest() == digest
    picture.rename(folder / "dog" / "2.png")
    assert open_source(folder).digest() != digest
    (folder / "dog" / "2.png").rename(picture)
    (folder / "dog").rename(folder / "dogs")
    assert open_source(folder).digest() != digest


def test_the_digest_is_as_documented(folder: Path) -> None:
    def counted(data: bytes) -> bytes:
        return len(data).to_bytes(8, "little") + data

    expected = b"drrpack-source-1\0" + (2).to_bytes(8, "little") + counted(b"cat") + counted(b"dog")
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        expected += counted(name.encode()) + sha256((folder / name).read_bytes()).digest()
    assert open_source(folder).digest() == sha256(expected).hexdigest()
