"""Which names are those of shards, and that a pattern finds all files of a memory or none."""

from __future__ import annotations

import glob
import tracemalloc
from pathlib import Path

import pytest

from drrpack.core.errors import MissingError, OptionError
from drrpack.formats.file_set import files_of
from drrpack.formats.files.shard_names import ShardSet, set_of, shard_set, shards_of


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("name", "stem", "count", "ending"),
    [
        ("mem-00001-of-00003.drr", "mem", 3, ".drr"),
        ("a-00001-of-00002-00000-of-00001.drr", "a-00001-of-00002", 1, ".drr"),
        ("mem.v2-100000-of-123456", "mem.v2", 123456, ""),
        ("two\nlines-00000-of-00001.drr", "two\nlines", 1, ".drr"),
    ],
)
def test_names_of_shards(name: str, stem: str, count: int, ending: str) -> None:
    assert set_of(Path("f") / name) == ShardSet(Path("f"), stem, ending, count)


@pytest.mark.parametrize(
    "name", ["mem.drr", "mem-1-of-3.drr", "mem-00001.drr", "-00000-of-00001.drr", "mem-of-00003"]
)
def test_names_that_are_none(name: str) -> None:
    assert set_of(Path(name)) is None


def test_names_of_a_set(tmp_path: Path) -> None:
    made = shard_set(tmp_path / "m[1]*.drr", 2)
    assert [path.name for path in made.paths] == [
        "m[1]*-00000-of-00002.drr", "m[1]*-00001-of-00002.drr",
    ]  # fmt: skip
    touch(tmp_path, *(path.name for path in made.paths), "m1x-00000-of-00002.drr")
    assert sorted(glob.glob(made.pattern)) == [str(path) for path in made.paths]
    assert shards_of(tmp_path / "m[1]*.drr") == made.paths
    assert shards_of(tmp_path / "m.drr") == shards_of(tmp_path / "nowhere" / "m.drr") == []


def test_a_pattern_finds_all_or_nothing(tmp_path: Path) -> None:
    one, two, three = touch(tmp_path, *(f"mem-{n:05}-of-00003.drr" for n in range(3)))
    (other,) = touch(tmp_path, "mem-2.drr")
    every = tmp_path / "mem-*.drr"
    assert files_of(every) == [one, two, three, other]
    with pytest.raises(MissingError, match=r"found 2 of 3 files.*'mem-00002-of-00003.drr'"):
        files_of(tmp_path / "mem-0000[01]-*")
    assert files_of([tmp_path / "mem-0000[01]-*", three]) == [one, two, three]
    two.unlink()
    for given in (every, tmp_path / "*-of-*", [tmp_path / "*0-of-00003.drr", three]):
        with pytest.raises(MissingError, match=r"'mem-00001-of-00003.drr'.*one by one") as caught:
            files_of(given)  # type: ignore[arg-type]
        assert str(tmp_path) in str(caught.value)
    assert files_of([one, three]) == [one, three], "whoever names files means these"


def test_a_number_beyond_the_count_is_no_file_of_the_set(tmp_path: Path) -> None:
    touch(tmp_path, "mem-00000-of-00002.drr", "mem-00002-of-00002.drr")
    with pytest.raises(MissingError, match=r"found 1 of 2 files.*'mem-00001-of-00002.drr'"):
        files_of(tmp_path / "mem-*.drr")


def test_two_sets_of_one_name(tmp_path: Path) -> None:
    old = touch(tmp_path, "mem-00000-of-00001.drr")
    new = touch(tmp_path, "mem-00000-of-00002.drr", "mem-00001-of-00002.drr")
    others = touch(tmp_path, "mem-00000-of-00001.npz", "men-00000-of-00001.drr")
    with pytest.raises(OptionError, match=r"mem-\*-of-00001.drr and .*mem-\*-of-00002.drr"):
        files_of(tmp_path / "mem-*.drr")
    assert files_of(tmp_path / "mem-*-of-00001.drr") == old
    assert files_of(tmp_path / "mem-*-of-00002.drr") == new
    new[0].unlink()
    with pytest.raises(OptionError, match="several sets"):
        files_of(tmp_path / "mem-*.drr")
    assert files_of([tmp_path / "*.npz", tmp_path / "men-*"]) == others


def test_a_name_that_claims_very_many_files(tmp_path: Path) -> None:
    """It costs no more than the names that are shown."""
    touch(tmp_path, "mem-00000-of-999999999.drr", "mem-00002-of-999999999.drr")
    tracemalloc.start()
    try:
        with pytest.raises(MissingError, match="found 2 of 999999999 files") as caught:
            files_of(tmp_path / "mem-*.drr")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    names = [f"'mem-{n:05}-of-999999999.drr'" for n in (1, 3, 4, 5, 6)]
    assert f"missing: {', '.join(names)}, …: fetch" in str(caught.value)
