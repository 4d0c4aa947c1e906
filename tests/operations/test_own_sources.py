"""An output that is one of the files of its own source is refused, forced or not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import same_pictures as made
from picture_folders import noise

import drrpack
from drrpack.core.errors import OutputError

PICTURES = {name: [noise(8, 8, 3) for _ in range(3)] for name in ("cat", "dog")}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def placed(kind: str, place: Path) -> tuple[Path, Path]:
    """A source of a kind, and one of its files."""
    if kind == "npz":
        path = made.as_npz(place / "a.npz", PICTURES)
        return path, path
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason='pip install "drrpack[parquet]"')
        path = made.as_parquet(place / "a.parquet", PICTURES)
        return path, path
    if kind == "shard":
        (place / "shards").mkdir()
        return place / "shards", made.as_tar(place / "shards" / "train-0.tar", PICTURES)
    if kind == "list":
        path = made.as_csv(place / "list", PICTURES)
        return path, path
    source = made.as_folder(place / "folder", PICTURES)
    return source, min(source.rglob("*.png"))


@pytest.mark.parametrize("kind", ["npz", "parquet", "shard", "list", "folder"])
def test_the_source_is_not_written_over(kind: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    source, output = placed(kind, tmp_path / "data")
    hard_link = tmp_path / "another-name.drr"
    hard_link.hardlink_to(output)
    before = digests(tmp_path)
    for written in (output, hard_link):
        with pytest.raises(OutputError, match="is read from this file; expected another one to"):
            drrpack.encode(source, written, force=True)
    assert digests(tmp_path) == before
