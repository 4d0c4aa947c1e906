"""The raw images behind a file: found, moved, changed, or given as a folder of the user's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from drr_files import read_all
from picture_folders import noise, save

from drrpack import append, train
from drrpack.core.errors import SourceError
from drrpack.formats import whereabouts
from drrpack.formats.container import Reader, write
from drrpack.formats.originals import Originals, open_originals, open_test, record, remember
from drrpack.formats.sources.source import open_source
from drrpack.integrations.torchvision import DRRVision


@pytest.fixture
def folder(digits_folder: Path, tmp_path: Path) -> Path:
    """A copy of the pictures that a test may change."""
    return Path(shutil.copytree(digits_folder, tmp_path / "digits"))


@pytest.fixture
def reader(own_drr: Path, folder: Path) -> Reader:
    """A file of these pictures, which this machine has seen in the copy."""
    remember(open_source(folder))
    return Reader(own_drr)


def recording(file: Path, **changed: object) -> Reader:
    """The file with other words about its source."""
    content = read_all(file)
    sources = [{**content.metadata["sources"][0], **changed}]
    write(file, replace(content, metadata={**content.metadata, "sources": sources}), overwrite=True)
    return Reader(file)


def split_of(found: Originals) -> str:
    (part,) = found.parts
    return part.split


def refused(reader: Reader, given: Path | None, *parts: object, moved: Path | None = None) -> None:
    with pytest.raises(SourceError) as caught:
        open_test(reader, given, moved)
    for part in parts:
        assert str(part) in str(caught.value)


def test_the_recorded_source(reader: Reader, folder: Path) -> None:
    found = open_originals(reader, None, "train")
    assert found.roots == str(folder) and found.load("3").shape == (30, 32, 32, 3)
    assert open_test(reader, None).load("3").shape == (8, 32, 32, 3)


def test_a_source_that_has_moved(reader: Reader, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = folder.rename(tmp_path / "elsewhere" / "digits")
    refused(reader, None, reader.path, folder, "`test=DIR`")
    with pytest.raises(SourceError, match="`source=DIR`"):
        open_originals(reader, None, "train")
    assert open_originals(reader, moved, "train").roots == str(moved)
    assert split_of(open_test(reader, None, moved)) == "test"


def test_a_source_that_was_never_recorded(own_drr: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder in which one happens to be is not the source."""
    monkeypatch.chdir(own_drr.parent)
    write(own_drr, replace(read_all(own_drr), metadata={}), overwrite=True)
    with Reader(own_drr) as reader:
        refused(reader, None, own_drr, "does not record", "`test=DIR`")
        with pytest.raises(SourceError, match="does not record"):
            open_originals(reader, None, "train")


@pytest.mark.parametrize("change", ["altered", "added", "removed", "renamed"])
def test_a_source_that_has_changed(reader: Reader, folder: Path, change: str) -> None:
    for split in ("train", "test"):
        first, second = sorted((folder / split / "5").iterdir())[:2]
        if change == "altered":
            save(first, noise(32, 32, 3))
        elif change == "added":
            save(folder / split / "5" / "new.png", noise(32, 32, 3))
        elif change == "removed":
            first.unlink()
        else:
            first.rename(second.with_name("zzzz.png"))
    refused(reader, None, folder, "its test images are not those", "`test=DIR`")
    for given in (None, folder):
        with pytest.raises(SourceError, match="its train images are not those"):
            open_originals(reader, given, "train")


def test_only_the_wanted_split_must_be_unchanged(reader: Reader, folder: Path) -> None:
    save(folder / "train" / "5" / "new.png", noise(32, 32, 3))
    assert split_of(open_test(reader, None)) == "test"


def test_a_source_without_a_test_split(own_drr: Path, folder: Path) -> None:
    digest = read_all(own_drr).metadata["sources"][0]["digest"]["train"]
    reader = recording(own_drr, digest={"train": digest})
    for moved in (None, folder):
        refused(reader, None, "'digits' had no test/ or val/", "`test=DIR`", moved=moved)


@pytest.mark.parametrize("inner_first", [True, False])
def test_a_test_folder_that_is_a_source_of_its_own(
    reader: Reader, folder: Path, tmp_path: Path, inner_first: bool
) -> None:
    inner = open_source(folder / "test")
    copy = Path(shutil.copy(reader.path, tmp_path / "copy.drr"))
    other = recording(copy, **record(inner))
    for source in [inner, open_source(folder)][:: 1 if inner_first else -1]:
        remember(source)
    assert open_test(reader, None).roots == str(folder)
    assert open_originals(other, None, "train").roots == str(folder / "test")


def test_a_place_without_the_split(
    own_drr: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is passed over where it is remembered, and named with the file where it is given."""
    monkeypatch.setenv("DRRPACK_STATE", str(tmp_path / "state"))
    digest = open_source(folder).digest("test")
    (tmp_path / "elsewhere").mkdir()
    moved = folder.rename(tmp_path / "elsewhere" / "pictures")
    whereabouts.remember(moved / "test", [digest])  # as earlier versions did for every split
    with Reader(own_drr) as reader:
        refused(reader, None, own_drr, "found no folder 'digits'", "`source=DIR`")
        refused(reader, None, own_drr, "no test split", "`source=DIR`", moved=moved / "test")
        refused(reader, None, own_drr, "no such folder", "`source=DIR`", moved=folder)
        assert open_test(reader, None, moved).roots == str(moved)


# --- --test DIR ----------------------------------------------------------------------------------


def test_a_plain_folder_of_classes(reader: Reader, folder: Path) -> None:
    plain = folder / "test"
    found, expected = open_test(reader, plain), open_test(reader, None)
    assert split_of(found) == "train" and found.roots == str(plain)
    for name in reader.classes:
        np.testing.assert_array_equal(found.load(name), expected.load(name))


def test_a_folder_with_a_test_split(reader: Reader, folder: Path, tmp_path: Path) -> None:
    other = folder.rename(tmp_path / "other")
    found = open_test(reader, other)
    assert split_of(found) == "test" and found.load("0").shape == (8, 32, 32, 3)


def test_more_classes_than_the_file_has(reader: Reader, folder: Path) -> None:
    save(folder / "test" / "extra" / "0.png", noise(32, 32, 3))
    (part,) = open_test(reader, folder / "test").parts
    assert set(reader.classes) < set(part.classes)


def test_classes_that_are_missing(reader: Reader, folder: Path) -> None:
    shutil.rmtree(folder / "test" / "7")
    found = open_test(reader, folder / "test")  # a run may do without them
    assert found.missing(reader.classes) == ["7"]
    assert len(found.load("6")) == 8
    with pytest.raises(SourceError, match="no images of the class '7'"):
        found.load("7")


def test_images_of_another_size(reader: Reader, tmp_path: Path) -> None:
    for name in reader.classes:
        save(tmp_path / "small" / name / "0.png", noise(16, 16, 3))
    refused(reader, tmp_path / "small", "16x16", "32x32")


def test_images_are_resized_as_they_were_when_encoding(own_drr: Path, tmp_path: Path) -> None:
    reader = recording(own_drr, size=32)
    for name in reader.classes:
        save(tmp_path / "small" / name / "0.png", noise(16, 16, 3))
    assert open_test(reader, tmp_path / "small").load("3").shape == (1, 32, 32, 3)


def test_the_training_images_are_no_test(reader: Reader, folder: Path) -> None:
    refused(reader, folder / "train", "training images that", "`test=DIR`")


def test_no_folder(reader: Reader, tmp_path: Path) -> None:
    refused(reader, tmp_path / "absent", tmp_path / "absent")


def test_what_was_left_out_as_bad_is_no_change(own_drr: Path, folder: Path) -> None:
    """``--skip-bad`` took the good pictures: it is by them that the source is known again."""
    remember(open_source(folder))
    reader = Reader(own_drr)
    for split in ("train", "test"):
        (folder / split / "0" / "bad.png").write_bytes(b"no picture")
    assert len(open_originals(reader, None, "train").load(reader.classes[0])) == 30
    assert split_of(open_test(reader, None)) == "test"


# --- several folders -----------------------------------------------------------------------------


@pytest.fixture
def two(own_drr: Path, digits_folder: Path, tmp_path: Path) -> Reader:
    """A file of digits and, of a folder without test images, of "new" and of more images of "3"."""
    remember(open_source(digits_folder))
    train, more = digits_folder / "train", tmp_path / "more"
    shutil.copytree(train / "5", more / "new")
    shutil.copytree(train / "6", more / "3")
    append(own_drr, more, extend=True, keep_entropy_model=True, device="cpu")
    return Reader(own_drr)


def test_classes_that_no_other_folder_tests(two: Reader) -> None:
    with pytest.raises(SourceError, match=r"the source 'more' had no test/ .*`test=DIR`.*'new'"):
        open_test(two, None)
    with pytest.raises(SourceError, match="the source 'more' had no test/"):
        open_test(two, None, classes=["new", "0"])


@pytest.mark.parametrize("classes", [["0", "1"], ["3"]])
def test_a_folder_that_the_classes_in_use_do_not_need(two: Reader, classes: list[str]) -> None:
    found = open_test(two, None, classes=classes)
    assert split_of(found) == "test" and not found.missing(classes)
    assert len(found.load(classes[0])) == 8


def test_training_images_are_those_of_all_folders(
    two: Reader, digits_folder: Path, tmp_path: Path
) -> None:
    assert len(open_originals(two, None, "train", classes=["3"]).load("3")) == 60
    shutil.rmtree(tmp_path / "more")
    assert open_originals(two, None, "train", classes=["0"]).roots == str(digits_folder)
    for classes in (None, ["3"], ["0", "new"]):
        with pytest.raises(SourceError, match="more any more"):
            open_originals(two, None, "train", classes=classes)


def test_the_digest_is_of_all_folders_whichever_are_in_use(
    context_drr: Path, digits_folder: Path, tmp_path: Path
) -> None:
    """By it a run goes on, also one of a version that opened all folders."""
    other, path = tmp_path / "other", Path(shutil.copy(context_drr, tmp_path / "mem.drr"))
    for split in ("train", "test"):
        shutil.copytree(digits_folder / split / "9", other / split / "9")
    sources = open_source(digits_folder), open_source(other)
    rows = []
    for source, classes in zip(sources, ([*"012345678"], ["9"]), strict=True):
        remember(source)
        rows.append({**record(source), "classes": classes})
    content = read_all(path)
    metadata = {**content.metadata, "sources": rows}
    write(path, replace(content, metadata=metadata), overwrite=True)
    each = [source.digest("test") for source in sources]
    for classes, folders in ((None, 2), (["0", "9"], 2), (["0"], 1), (["9"], 1)):
        found = open_test(Reader(path), None, classes=classes)
        assert len(found.parts) == folders
        assert found.digest() == sha256("".join(each).encode()).hexdigest()
    assert open_test(Reader(context_drr), None, classes=["0"]).digest() == each[0]
    assert open_test(Reader(path), other, classes=["9"]).digest() == each[1]


def test_a_training_on_the_classes_that_have_test_images(two: Reader, tmp_path: Path) -> None:
    made = train(
        two.path, tmp_path / "run", classes=["1", "3"], phases=1, epochs=1, width=2, ceiling=False
    )
    assert made is not None
    assert DRRVision(two.path, train=False, classes=["1", "3"]).targets == 8 * [0] + 8 * [1]
