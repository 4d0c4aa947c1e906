"""Folders in folders: which of them is the class, by the user's choice."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_folders import noise, refused, save

from drrpack.core.errors import OptionError
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.listing import listings
from drrpack.formats.sources.source import Source, open_source

TOP, PARENT = Labelling("top"), Labelling("parent")


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """Two kinds of animals, a breed of each, and a breed in both."""
    root = tmp_path / "src"
    for name in (
        "cat/0.png",
        "cat/tabby/0.png",
        "cat/wild/0.png",
        "dog/wild/0.png",
        "dog/pug/1.png",
    ):
        save(root / name, noise(8, 8, 3))
    (root / "cat" / "README.md").write_text("cats")
    return root


def counts(source: Source) -> dict[str, int]:
    return dict(zip(source.classes, source.images_per_class, strict=True))


def test_the_first_folder(nested: Path) -> None:
    source = open_source(nested, labelling=TOP)
    assert counts(source) == {"cat": 3, "dog": 2}
    paths = [path.relative_to(nested).as_posix() for path in source.paths(0)]
    assert paths == ["cat/0.png", "cat/tabby/0.png", "cat/wild/0.png"]


def test_the_last_folder(nested: Path) -> None:
    source = open_source(nested, labelling=PARENT)
    assert counts(source) == {"cat": 1, "pug": 1, "tabby": 1, "wild": 2}
    paths = [path.relative_to(nested).as_posix() for path in source.paths(3)]
    assert paths == ["cat/wild/0.png", "dog/wild/0.png"]


@pytest.mark.parametrize("choice", [TOP, PARENT])
def test_texts_beside_pictures_and_alone(nested: Path, choice: Labelling) -> None:
    before = counts(open_source(nested, labelling=choice))
    (nested / "cat" / "wild" / "boxes.json").write_text("[]")
    (nested / "dog" / "docs").mkdir()
    (nested / "dog" / "docs" / "licence.txt").write_text("free")
    found = open_source(nested, labelling=choice)
    assert counts(found) == before, "a folder of texts is no class"
    assert str(nested / "cat" / "wild" / "boxes.json") in found.remarks[0]


@pytest.mark.parametrize("choice", [TOP, PARENT])
def test_a_folder_that_is_not_nested_reads_as_ever(tmp_path: Path, choice: Labelling) -> None:
    for name in ("cat/1.png", "cat/0.png", "dog/0.png"):
        save(tmp_path / name, noise(8, 8, 3))
    plain, chosen = open_source(tmp_path), open_source(tmp_path, labelling=choice)
    np.testing.assert_array_equal(chosen.load_all()[0], plain.load_all()[0])
    assert chosen.classes == plain.classes
    if choice is TOP:
        assert chosen.digest() == plain.digest()


def test_splits(nested: Path, tmp_path: Path) -> None:
    shutil.copytree(nested, tmp_path / "both" / "train")
    save(tmp_path / "both" / "test" / "dog" / "old" / "wild" / "0.png", noise(8, 8, 3))
    for choice, name in ((TOP, "dog"), (PARENT, "wild")):
        source = open_source(tmp_path / "both", labelling=choice)
        assert source.load(source.classes.index(name), "test").shape == (1, 8, 8, 3)
        assert source.digest() == open_source(nested, labelling=choice).digest()


def test_files_of_one_name_have_digests_of_their_own(nested: Path) -> None:
    """Swapping two pictures of one name must show."""
    before = open_source(nested, labelling=TOP).digest()
    one, two = nested / "cat" / "tabby" / "0.png", nested / "cat" / "wild" / "0.png"
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    assert open_source(nested, labelling=TOP).digest() != before


def test_the_listing_by_hand(nested: Path) -> None:
    sha = sha256(b"drrpack-listing-1\0")
    for name in (
        "cat/0.png",
        "cat/tabby/0.png",
        "cat/wild/0.png",
        "dog/pug/1.png",
        "dog/wild/0.png",
    ):
        sha.update(len(name).to_bytes(8, "little") + name.encode())
        sha.update((nested / name).stat().st_size.to_bytes(8, "little"))
    assert listings(nested, TOP) == {"train": sha.hexdigest()}
    assert listings(nested, PARENT).keys() == {"train"} and listings(nested, Labelling()) == {}


def test_what_is_refused(nested: Path) -> None:
    refused(nested, "inside the class 'cat'", "`classes_from='top'`", "move its pictures up")
    (nested / "eel" / "deep").mkdir(parents=True)
    refused(nested, "eel", "no pictures in this class or in the folders below", labelling=TOP)
    assert "eel" not in open_source(nested, labelling=PARENT).classes
    save(nested / "loose.png")
    for choice in (TOP, PARENT):
        refused(nested, "loose.png", "beside the class folders", labelling=choice)


def test_names_that_look_alike(nested: Path) -> None:
    save(nested / "dog" / "Tabby" / "0.png")
    refused(nested, "two classes of one name", "'Tabby'", "'tabby'", labelling=PARENT)


@pytest.mark.parametrize("choice", [TOP, PARENT])
def test_links_that_form_a_circle(nested: Path, choice: Labelling) -> None:
    os.symlink(nested / "cat", nested / "cat" / "tabby" / "again")
    refused(nested, "again", "a link to a folder that it lies in", labelling=choice)


def test_folders_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    refused(tmp_path, "no folder that holds pictures", labelling=PARENT)


@pytest.mark.parametrize("value", ["bottom", "", 3])
def test_other_choices(nested: Path, value: Any) -> None:
    with pytest.raises(OptionError, match=r"`classes_from=.*expected one of top, parent"):
        open_source(nested, labelling=Labelling(value))


def test_where_it_means_nothing(nested: Path) -> None:
    with pytest.raises(OptionError, match=r"src: found `label_column`.*kind 'folder'"):
        open_source(nested, labelling=Labelling(label_column="x"))
