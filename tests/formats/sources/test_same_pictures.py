"""The same pictures as folder, list, arrays, tar and table: the same streams, and found again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import same_pictures as made
from drr_files import read_all
from picture_folders import noise
from tiny_memory import GOLDEN_CONTEXT

import drrpack
from drrpack.core.errors import SourceError
from drrpack.formats.container import Reader, write
from drrpack.formats.originals import open_originals, open_test, record, remember
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.listing import listings
from drrpack.formats.sources.source import open_source

pytestmark = pytest.mark.usefixtures("one_thread")

WRITERS: dict[str, Callable[[Path, made.Pictures], Path]] = {
    "folder": lambda place, pictures: made.as_folder(place / "folder", pictures),
    "csv": lambda place, pictures: made.as_csv(place / "csv", pictures),
    "flat": lambda place, pictures: made.as_csv(place / "flat", pictures).parent,
    "npz": lambda place, pictures: made.as_npz(place / "arrays.npz", pictures),
    "tar": lambda place, pictures: made.as_tar(place / "shard.tar", pictures),
    "parquet": lambda place, pictures: made.as_parquet(place / "table.parquet", pictures),
}
KINDS = {"flat": "csv"}


@pytest.fixture(scope="module")
def digits() -> dict[str, list[made.Pixels]]:
    """A few scans of three digits, enlarged to 16 pixels."""
    found = pytest.importorskip("sklearn.datasets").load_digits()
    pixels = np.rint(found.images * (255 / 16)).astype(np.uint8)
    large = pixels.repeat(2, axis=1).repeat(2, axis=2)[..., None].repeat(3, axis=3)
    return {str(d): list(large[found.target == d][:9]) for d in (1, 3, 7)}


@pytest.fixture
def pictures() -> dict[str, list[made.Pixels]]:
    return {name: [noise(8, 8, 3) for _ in range(5)] for name in ("cat", "dog")}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_read(tmp_path: Path, pictures: dict[str, list[made.Pixels]], kind: str) -> None:
    path = WRITERS[kind](tmp_path, pictures)
    source = open_source(path)
    assert (source.kind, source.root, source.name) == (KINDS.get(kind, kind), path, path.name)
    assert (source.classes, source.images_per_class) == (("cat", "dog"), (5, 5))
    assert not source.has_test and source.image_size == (8, 8)
    for number, name in enumerate(source.classes):
        np.testing.assert_array_equal(source.load(number), pictures[name])
    again = open_source(path, keep_bytes=0, size=4)
    assert again.load(1).shape == (5, 4, 4, 3)
    np.testing.assert_array_equal(again.load(1), open_source(path, size=4).load(1))
    assert again.digest() == source.digest(), "of what is stored, at whatever size it is read"


def test_streams_are_the_same(tmp_path: Path, digits: dict[str, list[made.Pixels]]) -> None:
    """Byte for byte."""
    memories: dict[str, Any] = {}
    for kind, made_by in WRITERS.items():
        output = tmp_path / f"{kind}.drr"
        drrpack.encode(made_by(tmp_path, digits), output, codec=GOLDEN_CONTEXT, device="cpu")
        with Reader(output) as reader:
            memories[kind] = reader.memory()
    first = memories["folder"]
    assert first.classes == ["1", "3", "7"] and sum(chunk.images for chunk in first.chunks) == 27
    for kind, memory in memories.items():
        assert memory.classes == first.classes, kind
        streams = [(chunk.top, chunk.bottom) for chunk in memory.chunks]
        assert streams == [(chunk.top, chunk.bottom) for chunk in first.chunks], kind


def test_what_export_writes_is_read(
    own_drr: Path, tmp_path: Path, pictures: dict[str, list[made.Pixels]]
) -> None:
    drrpack.export(own_drr, tmp_path / "images.npz", classes=["3", "0"])
    source = open_source(tmp_path / "images.npz")
    memory = drrpack.DRRDataset(own_drr, classes=["3", "0"])
    pixels, labels = memory.to_numpy()
    assert source.classes == ("3", "0")
    for number in range(2):
        np.testing.assert_array_equal(source.load(number), pixels[labels == number])


# --- found again -----------------------------------------------------------------------------


def recorded(drr: Path, path: Path, labelling: Labelling | None = None) -> Reader:
    """A file that says it was made from this source; nothing else in it matters here."""
    source = open_source(path, labelling=labelling)
    content = read_all(drr)
    metadata = {**content.metadata, "sources": [record(source)]}
    write(drr, replace(content, metadata=metadata), overwrite=True)
    return Reader(drr)


@pytest.mark.parametrize("kind", WRITERS)
def test_it_is_found_again(
    own_drr: Path, tmp_path: Path, pictures: dict[str, list[made.Pixels]], kind: str
) -> None:
    """Beside the file, where it was last seen, and where the user says."""
    path = WRITERS[kind](own_drr.parent, pictures)
    reader = recorded(own_drr, path)
    if kind == "csv":  # which lies in a folder beside the file
        remember(open_source(path))
    found = open_originals(reader, None, "train")
    assert found.roots == str(path)
    np.testing.assert_array_equal(found.load("dog"), pictures["dog"])
    whole = path.parent if kind == "csv" else path
    moved = Path(shutil.move(whole, tmp_path / f"moved{whole.suffix}"))
    moved = moved / path.name if kind == "csv" else moved
    assert open_originals(reader, moved, "train").roots == str(moved)
    assert open_originals(reader, None, "train").roots == str(moved), "it was seen there"
    with pytest.raises(SourceError, match="these are the training images"):
        open_test(reader, moved)


@pytest.mark.parametrize("kind", WRITERS)
def test_another_one_in_its_place_is_refused(
    own_drr: Path, tmp_path: Path, pictures: dict[str, list[made.Pixels]], kind: str
) -> None:
    path = WRITERS[kind](tmp_path, pictures)
    reader = recorded(own_drr, path)
    WRITERS[kind](tmp_path, {**pictures, "dog": pictures["dog"][::-1]})
    with pytest.raises(SourceError, match="its train images are not those"):
        open_originals(reader, path, "train")


def test_choices_are_recorded(
    own_drr: Path, tmp_path: Path, pictures: dict[str, list[made.Pixels]]
) -> None:
    path = made.as_folder(tmp_path / "src" / "animals", pictures).parent
    reader = recorded(own_drr, path, Labelling("parent"))
    (kept,) = reader.metadata["sources"]
    assert kept["classes_from"] == "parent" and set(kept["listing"]) == {"train"}
    assert len(open_originals(reader, path, "train").load("cat")) == 5
    other = made.as_tar(tmp_path / "test.tar", {"cat": pictures["dog"], "dog": pictures["cat"]})
    reader.metadata["sources"] = [{**kept, "classes_from": "parent"}]
    for image in (other, made.as_folder(tmp_path / "test" / "deep", pictures).parent):
        with pytest.raises(SourceError, match=r"its images are 8x8|the training images"):
            open_test(reader, image)


def test_a_file_that_a_stranger_names_is_not_opened(own_drr: Path, tmp_path: Path) -> None:
    """A name is looked for beside the file, and never followed to another folder."""
    made.as_npz(tmp_path / "secret.npz", {"cat": [noise(8, 8, 3)]})
    reader = recorded(own_drr, tmp_path / "secret.npz")
    (kept,) = reader.metadata["sources"]
    for name in ("../secret.npz", str(tmp_path / "secret.npz"), "{../secret,x}.npz"):
        reader.metadata["sources"] = [{**kept, "name": name, "digest": {"train": "0" * 64}}]
        with pytest.raises(SourceError, match="found no folder"):
            open_originals(reader, None, "train")


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_shards_and_splits(
    tmp_path: Path, pictures: dict[str, list[made.Pixels]], kind: str
) -> None:
    write_part = made.as_parquet if kind == "parquet" else made.as_tar
    parts: dict[str, dict[str, list[made.Pixels]]] = {
        "train-00000-of-00002": {"cat": pictures["cat"][:2], "dog": pictures["dog"][:2]},
        "train-00001-of-00002": {"cat": pictures["cat"][2:], "dog": pictures["dog"][2:]},
        "test-00000-of-00001": {"cat": pictures["dog"][:1], "dog": pictures["cat"][:1]},
    }
    for name, part in parts.items():
        write_part(tmp_path / "repo" / "data" / f"{name}.{kind}", part)
    (tmp_path / "repo" / "README.md").write_text("a data set")
    source = open_source(tmp_path / "repo")
    assert source.kind == kind and source.has_test and source.images_per_class == (5, 5)
    for number, name in enumerate(("cat", "dog")):
        np.testing.assert_array_equal(source.load(number), pictures[name])
        np.testing.assert_array_equal(
            source.load(number, "test"), pictures["dog" if name == "cat" else "cat"][:1]
        )
    assert set(listings(tmp_path / "repo", Labelling())) == {"train", "test"}
    again = open_source(tmp_path / "repo", keep_bytes=0)
    np.testing.assert_array_equal(again.load_all("test")[0], source.load_all("test")[0])
    np.testing.assert_array_equal(again.load_all()[0], source.load_all()[0])
    only = open_source(tmp_path / "repo", splits=["test"])
    assert only.images_per_class == (5, 5) and only.digest("test") == source.digest("test")
    pattern = tmp_path / "repo" / "data" / f"train-{{00000..00001}}-of-00002.{kind}"
    assert open_source(pattern).digest() == source.digest()
    one = open_source(tmp_path / "repo" / "data" / f"test-00000-of-00001.{kind}")
    assert one.images_per_class == (1, 1) and not one.has_test


def test_a_pattern_is_found_again(
    own_drr: Path, tmp_path: Path, pictures: dict[str, list[made.Pixels]]
) -> None:
    for number in range(2):
        made.as_tar(own_drr.parent / f"a-{number}.tar", pictures)
    reader = recorded(own_drr, own_drr.parent / "a-{0..1}.tar")
    assert len(open_originals(reader, None, "train").load("cat")) == 10
