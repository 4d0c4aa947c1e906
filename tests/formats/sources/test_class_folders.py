"""What may be wrong with the folders of a source, and what each message says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from picture_folders import noise, refused, save

from drrpack.formats.sources.source import open_source


def test_missing(tmp_path: Path) -> None:
    refused(tmp_path / "none", str(tmp_path / "none"), "no such folder", "`download='cifar100'`")


def test_a_file(folder: Path) -> None:
    refused(folder / "cat" / "0.png", "0.png: found a file, expected a folder", "unpack")


def test_below_a_file(folder: Path) -> None:
    refused(folder / "cat" / "0.png" / "x", "can't be opened", "check its permissions")


def test_no_classes(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), "found no class folders", "cat/0001.png")
    save(tmp_path / "0.png")
    refused(tmp_path, "found a picture, 0.png, and no class folders")


def test_an_empty_class(folder: Path) -> None:
    (folder / "eel").mkdir()
    (folder / "eel" / ".DS_Store").touch()
    refused(folder, str(folder / "eel"), "found no pictures in this class", "remove the folder")
    refused(folder, "found no pictures", skip_bad=True)


def test_pictures_beside_classes(folder: Path) -> None:
    save(folder / "stray.PNG", format="PNG")
    refused(folder, str(folder / "stray.PNG"), "beside the class folders", "move it")


def test_a_nested_folder(folder: Path) -> None:
    save(folder / "cat" / "tabby" / "0.png")
    refused(folder, str(folder / "cat" / "tabby"), "inside the class 'cat'", "move its pictures")


@pytest.mark.parametrize(
    ("one", "other"),
    [("caf\u00e9", "cafe\u0301"), ("Eel", "eel"), ("eel", "eel "), ("stra\u00dfe", "STRASSE")],
)
def test_two_classes_of_one_name(folder: Path, one: str, other: str) -> None:
    save(folder / one / "0.png")
    save(folder / other / "0.png")
    if len(os.listdir(folder)) < 4:
        pytest.skip("this file system makes one folder of the two")
    refused(folder, "two classes of one name", repr(one), repr(other), "rename one")


def test_class_names_are_nfc(folder: Path) -> None:
    save(folder / "cafe\u0301" / "0.png")
    assert "caf\u00e9" in open_source(folder).classes


def test_a_class_name_that_is_not_utf8(folder: Path) -> None:
    try:
        shutil.copytree(folder / "cat", os.fsdecode(os.fsencode(folder) + b"/c\xfft"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    refused(folder, "c\\xfft", "not valid UTF-8", "rename the folder").encode()


def test_a_file_name_that_is_not_utf8(folder: Path) -> None:
    try:
        shutil.copy(folder / "cat" / "0.png", folder / "cat" / os.fsdecode(b"\xff.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert open_source(folder).images_per_class == (3, 2)
    open_source(folder).digest()


def test_a_test_class_that_train_lacks(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "both" / "train")
    save(tmp_path / "both" / "val" / "eel" / "0.png")
    refused(tmp_path / "both", str(tmp_path / "both" / "val" / "eel"), "'eel'", "train lacks")


def test_a_class_beside_a_train_with_folders(folder: Path) -> None:
    save(folder / "train" / "steam" / "0.png")
    refused(folder, str(folder / "cat"), "is a training split", "move the folder away")


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("name", ["eel", "train", "notes.txt", "0.png"])
def test_a_link_to_a_class_that_is_gone(
    tmp_path: Path, folder: Path, name: str, skip_bad: bool
) -> None:
    gone = tmp_path / "gone" / "eel"
    (folder / name).symlink_to(gone)
    words = f"{folder / name}: found a link to {gone} that can't be opened: No such file"
    refused(folder, words, "mend the link, or remove it", skip_bad=skip_bad)
    save(gone / "0.png")
    assert open_source(folder).classes == tuple(sorted(["cat", "dog", name]))


def test_a_link_in_a_circle(folder: Path) -> None:
    (folder / "eel").symlink_to("eel")
    refused(folder, f"{folder / 'eel'}: found a link to eel that can't be opened: Too many")


def test_an_entry_that_can_not_be_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.stat

    def denied(path: Any, **options: Any) -> os.stat_result:
        if Path(path).name == "dog" and options.get("follow_symlinks", True):
            raise PermissionError(13, "Permission denied")
        return original(path, **options)

    monkeypatch.setattr(os, "stat", denied)
    refused(folder, f"{folder / 'dog'}: found an entry that can't be opened: Permission denied")


@pytest.mark.parametrize("name", ["test", "val", "eel"])
def test_a_link_to_a_split_that_is_gone(tmp_path: Path, folder: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "both" / "train")
    (tmp_path / "both" / name).symlink_to(tmp_path / "gone")
    refused(tmp_path / "both", f"{tmp_path / 'both' / name}: found a link to", skip_bad=True)


def test_a_link_to_a_picture_that_is_gone_is_a_bad_picture(folder: Path) -> None:
    (folder / "cat" / "2.png").symlink_to(folder / "gone.png")
    refused(folder, str(folder / "cat" / "2.png"), "`skip_bad=True`")
    source = open_source(folder, skip_bad=True)
    assert source.images_per_class == (2, 2) and len(source.bad) == 1


def test_what_is_no_folder_does_no_harm(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "notes.txt").write_text("mine")
    (folder / "link.txt").symlink_to("notes.txt")
    (folder / ".hidden").symlink_to(folder / "gone")
    assert open_source(folder).classes == ("cat", "dog")


def test_texts_in_a_class_are_left_out(folder: Path) -> None:
    clean = open_source(folder)
    texts = [folder / "cat" / "labels.CSV", folder / "dog" / "readme.txt"]
    texts[0].write_text("0.png,cat")
    (remark,) = open_source(folder).remarks
    assert remark == f"left out {texts[0]}, which is no picture by its name"
    texts[1].symlink_to(folder / "gone")
    found = open_source(folder)
    assert found.images_per_class == (2, 2) and found.bad == ()
    assert found.digest() == clean.digest()
    (remark,) = found.remarks
    assert remark.startswith("left out 2 files ") and remark.endswith(f"is {texts[0]}")
    assert found.holds(texts[0]), "no output may overwrite it"


def test_texts_of_a_split_that_is_not_read(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "both" / "train")
    shutil.copytree(folder, tmp_path / "both" / "test")
    (tmp_path / "both" / "test" / "cat" / "boxes.xml").touch()
    assert open_source(tmp_path / "both", splits=["train"]).remarks == ()
    assert len(open_source(tmp_path / "both").remarks) == 1


def test_a_class_of_texts_alone(folder: Path) -> None:
    (folder / "eel").mkdir()
    (folder / "eel" / "readme.md").write_text("no pictures yet")
    refused(folder, str(folder / "eel"), "found no pictures in this class", "remove the folder")


@pytest.mark.parametrize("name", ["2.png", "2.zip", "2", "2.npy"])
def test_what_may_hold_pictures_is_still_an_error(folder: Path, name: str) -> None:
    (folder / "cat" / name).write_text("no picture")
    refused(folder, str(folder / "cat" / name), "1 of 5 files", "`skip_bad=True`")


def test_mixed_sizes(folder: Path) -> None:
    save(folder / "dog" / "2.png", noise(9, 30, 3))
    first, other = folder / "cat" / "0.png", folder / "dog" / "2.png"
    refused(folder, f"{first} (8x8)", f"{other} (30x9)", "2 sizes", "`size=N`")


def test_mixed_sizes_between_splits(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "both" / "train")
    save(tmp_path / "both" / "val" / "dog" / "0.png", noise(9, 8, 3))
    refused(tmp_path / "both", "(8x8)", "(8x9)", "`size=N`")


def test_permission_denied(folder: Path) -> None:
    (folder / "cat" / "0.png").chmod(0)
    if os.access(folder / "cat" / "0.png", os.R_OK):
        pytest.skip("the superuser may read everything")
    refused(folder, "0.png: can't be opened: Permission denied")
    (folder / "dog").chmod(0)
    try:
        refused(folder, "dog: can't be listed: Permission denied", "check its permissions")
    finally:
        (folder / "dog").chmod(0o700)


def test_permission_denied_as_the_system_says_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> Any:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        refused(folder, "0.png: can't be opened: Permission denied", "4 of 4 files")
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", denied)
        refused(folder, "src: can't be listed: Permission denied", "check its permissions")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", denied)
        refused(folder, "src: can't be opened: Permission denied", "check its permissions")
