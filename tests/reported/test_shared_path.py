"""Reported: owncloud/core#12262: a shared file tells all the world in which folder it lay.

Right: a file holds the name of its source's folder and digests; the rest this machine remembers.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_memory import encode_tiny

from drrpack import DRRDataset
from drrpack.core.errors import SourceError
from drrpack.formats.container import Reader, write
from drrpack.formats.originals import open_originals, open_test
from drrpack.formats.preview import preview_grid
from drrpack.formats.sources.source import open_source
from drrpack.operations import recode
from drrpack.operations.append import append
from drrpack.operations.edit import drop
from drrpack.operations.export import export
from drrpack.trainers.incremental.memory_data import MemoryData

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture
def home(tmp_path: Path, digits_folder: Path) -> Path:
    """Where a user called fontanelle keeps five digits, and four more of them."""
    home = tmp_path / "fontanelle"
    for name, digits in (("first", "01234"), ("more", "5678")):
        for digit in digits:
            for split in ("train", "test"):
                shutil.copytree(digits_folder / split / digit, home / name / split / digit)
    return home


@pytest.fixture
def made(home: Path, digits_drr: Path) -> Path:
    return encode_tiny(home / "first", home / "mem.drr", codec=digits_drr)


@pytest.fixture
def as_before(made: Path) -> Path:
    """The file as an earlier version wrote it."""
    with Reader(made) as reader:
        content = reader.memory()
    (row,) = content.metadata["sources"]
    old = {"path": str(made.parent / "first"), **{k: row[k] for k in ("digest", "size", "classes")}}
    write(made, replace(content, metadata={**content.metadata, "sources": [old]}), overwrite=True)
    return made


def add(path: Path, source: Path) -> Path:
    append(path, source, keep_entropy_model=True, device="cpu")
    return path


def without(path: Path, *names: str) -> Path:
    with Reader(path) as reader:
        write(path, drop(path, reader.memory(), names), overwrite=True)
    return path


def merged(*paths: Path) -> Path:
    readers = [Reader(path) for path in paths]
    both = paths[0].with_name("both.drr")
    write(both, recode.merged(readers, CPU), overwrite=True)
    return both


def written(path: Path, home: Path, digits_drr: Path) -> Iterator[Path]:
    """The file after everything that writes one."""
    rest = encode_tiny(home / "more", home / "rest.drr", codec=digits_drr)
    yield merged(path, rest)
    yield merged(rest, path).rename(home / "reversed.drr")
    yield without(path, "3")
    yield add(path, home / "more")
    yield encode_tiny(home / "more", home / "tuned.drr", codec=path, fit="decoder")
    yield encode_tiny(home / "more", home / "fitted.drr")


def names_and_sources(path: Path) -> list[tuple[str, str]]:
    with Reader(path) as reader:
        return [(row["name"], "".join(row["classes"])) for row in reader.metadata["sources"]]


@pytest.mark.parametrize("file", ["made", pytest.param("as_before", marks=pytest.mark.slow)])
def test_no_file_says_where_anything_lies(
    request: pytest.FixtureRequest, home: Path, digits_drr: Path, file: str
) -> None:
    path = request.getfixturevalue(file)
    told = []
    for each in written(path, home, digits_drr):
        assert b"fontanelle" not in each.read_bytes(), each.name
        told.append(names_and_sources(each))
    assert told == [
        [("first", "01234"), ("more", "5678")], [("more", "5678"), ("first", "01234")],
        [("first", "0124")], [("first", "0124"), ("more", "5678")],
        [("more", "5678")], [("more", "5678")],
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_nor_does_what_is_exported(made: Path, tmp_path: Path, kind: str) -> None:
    output = tmp_path / "out.npz" if kind == "npz" else tmp_path / "out"
    export(DRRDataset(made, classes=["1"]), output, kind)
    files = [path for path in (output, *output.rglob("*")) if path.is_file()]
    assert files and not any(b"fontanelle" in path.read_bytes() for path in files)


# --- and yet the images are found ----------------------------------------------------------------


def found_in(path: Path, given: Path | None = None) -> str:
    with Reader(path) as reader:
        return open_originals(reader, given, "train").roots


def test_this_machine_knows(made: Path, home: Path, tmp_path: Path) -> None:
    """Wherever the file goes on it, and from wherever it is read."""
    path = made.rename(tmp_path / "elsewhere.drr")
    assert found_in(path) == str(home / "first")
    data, source = MemoryData(path), open_source(home / "first")
    assert data.has_raw
    np.testing.assert_array_equal(data.test([2])[0], source.load(2, "test"))
    assert str(home / "first") in preview_grid(DRRDataset(path), rows=1, columns=1)[1]


def test_what_was_appended_is_known_as_well(made: Path, home: Path) -> None:
    assert found_in(add(made, home / "more")) == f"{home / 'first'}, {home / 'more'}"


def test_on_another_machine(
    made: Path, home: Path, tmp_path: Path, remembered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inbox").mkdir()
    path = made.rename(tmp_path / "inbox" / "mem.drr")
    remembered.write_bytes(b"{}")
    refusal = rf"{path}: found no folder 'first' .* say where they are with `source=DIR`"
    with pytest.raises(SourceError, match=refusal):
        found_in(path)
    with Reader(path) as reader, pytest.raises(SourceError, match="`test=DIR`"):
        open_test(reader, None)
    monkeypatch.chdir(home)
    assert found_in(path) == str(home / "first"), "in the folder where one works"
    remembered.write_bytes(b"{}")
    monkeypatch.chdir(tmp_path)
    assert found_in(path.rename(home / "mem.drr")) == str(home / "first"), "beside the file"


def test_a_folder_that_was_given_once_is_known(
    made: Path, home: Path, tmp_path: Path, remembered: Path
) -> None:
    moved = (home / "first").rename(tmp_path / "new name")
    remembered.write_bytes(b"{}")
    assert found_in(made, moved) == found_in(made) == str(moved)


def test_one_of_two_folders_is_given(made: Path, home: Path, tmp_path: Path) -> None:
    add(made, home / "more")
    for name in ("more", "first"):
        moved = (home / name).rename(tmp_path / f"new {name}")
        wanted = {"more": home / "first", "first": tmp_path / "new first"}[name]
        assert found_in(made, moved) == f"{wanted}, {tmp_path / 'new more'}"


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_a_known_folder_that_is_not_what_it_was(made: Path, home: Path, change: str) -> None:
    if change == "gone":
        (home / "first").rename(home / "second")
        refusal = rf"not at {home / 'first'} any more; say where they are with `source=DIR`"
    else:
        next((home / "first/train/2").iterdir()).unlink()
        refusal = rf"{home / 'first'}: its train images are not those that {made}"
    with pytest.raises(SourceError, match=refusal):
        found_in(made)


def test_a_copy_beside_the_file_stands_in_for_a_folder_that_has_changed(
    made: Path, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    copied = shutil.copytree(home / "first", tmp_path / "disk" / "first")
    path = shutil.copy(made, tmp_path / "disk" / "mem.drr")
    next((home / "first/train/2").iterdir()).unlink()
    assert found_in(path) == str(copied)


def test_a_folder_of_the_name_with_other_files_is_not_read(
    made: Path, home: Path, remembered: Path
) -> None:
    next((home / "first/train/2").iterdir()).write_bytes(b"a picture that nobody can read")
    remembered.write_bytes(b"{}")
    with pytest.raises(SourceError, match="found no folder 'first'"):
        found_in(made)
