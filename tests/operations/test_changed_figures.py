"""PSNR that `stats` shows of a file that has changed: it says what it was measured before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_memory import GOLDEN_CONTEXT, encode_tiny, write_digits

import drrpack
from drrpack.formats.container import Reader, write

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes of four images, each measured."""
    place = tmp_path_factory.mktemp("whole")
    folder = write_digits(place / "digits", train=4, test=1)
    return encode_tiny(folder, place / "whole.drr", codec=GOLDEN_CONTEXT)


@pytest.fixture
def mem(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "mem.drr"))


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("new")
    three = write_digits(place / "digits", train=2, test=1) / "train" / "3"
    shutil.copytree(three, place / "classes" / "new")
    return place / "classes"


def figures_of(path: Path) -> set[str]:
    with Reader(path) as reader:
        return {*reader.metadata["figures"]}


def add(path: Path, new: Path) -> None:
    drrpack.append(path, new, keep_entropy_model=True, device="cpu")


def test_figures_of_a_file_as_it_was_made(whole: Path) -> None:
    assert drrpack.stats(whole).psnr_on == "training images of 10 classes"
    assert {"psnr_db", "reference_bits", "entropy_bytes"} <= figures_of(whole)


def test_classes_were_dropped(mem: Path, whole: Path) -> None:
    for name in ("3", "5"):
        drrpack.drop(mem, name)
        found = drrpack.stats(mem)
        assert found.psnr_db == drrpack.stats(whole).psnr_db and found.classes < 10
        assert found.psnr_on == "training images of 10 classes, before classes were dropped"
    assert figures_of(mem) == {"psnr_db", "psnr_images", "psnr_on", "since"}  # none of old codes


def test_images_were_appended(mem: Path, new: Path) -> None:
    add(mem, new)
    assert drrpack.stats(mem).psnr_on.endswith("10 classes, before images were appended")
    assert "entropy_bytes" not in figures_of(mem)
    drrpack.drop(mem, "new")  # as many classes as before, and still another file
    assert drrpack.stats(mem).psnr_on.endswith("classes were dropped and images were appended")


def test_a_merged_file_has_what_its_parts_went_through(mem: Path, whole: Path, new: Path) -> None:
    first, second = mem, Path(shutil.copy(whole, mem.with_name("second.drr")))
    drrpack.drop(first, list("01234"))
    drrpack.drop(second, list("56789"))
    add(second, new)
    merged = drrpack.merge([first, second], mem.with_name("both.drr")).path
    said = "training images of 10 classes, before classes were dropped and images were appended"
    assert drrpack.stats(merged).psnr_on == said


def test_one_of_several_files_has_the_psnr_of_all(whole: Path, tmp_path: Path) -> None:
    part = Path(shutil.copy(whole, tmp_path / "mem-00001-of-00003.drr"))
    said = "training images of 10 classes of the whole memory, which has 3 files"
    assert drrpack.stats(part).psnr_on == said
    drrpack.drop(part, "3")
    assert drrpack.stats(part).psnr_on == f"{said}, before classes were dropped"
    alone = Path(shutil.copy(whole, tmp_path / "mem-00000-of-00001.drr"))
    assert drrpack.stats(alone).psnr_on == "training images of 10 classes"


@pytest.mark.parametrize("since", [5, "dropped", [7], ["moved"], {"dropped": 1}])
def test_what_no_drrpack_records(mem: Path, since: object) -> None:
    with Reader(mem) as reader:
        content = reader.memory()
    content.metadata["figures"]["since"] = since
    write(mem, content, overwrite=True)
    assert drrpack.stats(mem).psnr_on == "training images of 10 classes"


def test_nothing_is_said_of_a_psnr_that_is_not_known(mem: Path) -> None:
    with Reader(mem) as reader:
        content = reader.memory()
    content.metadata["figures"] = {"psnr_db": None, "psnr_on": "nothing was held out"}
    write(mem, content, overwrite=True)
    drrpack.drop(mem, "3")
    found = drrpack.stats(mem)
    assert (found.psnr_db, found.psnr_on) == (None, "nothing was held out")
