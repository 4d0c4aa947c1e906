"""What this machine remembers of folders: for the user alone, and whatever befalls the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drrpack.formats import whereabouts
from drrpack.formats.whereabouts import MAX_BYTES, MAX_PLACES, find, remember

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to remember in, which is not there yet."""
    monkeypatch.setenv("DRRPACK_STATE", str(tmp_path / "a" / "state"))
    return tmp_path / "a" / "state"


def content(home: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((home / "sources.json").read_text())
    return found


def test_the_last_place_counts(home: Path, tmp_path: Path) -> None:
    assert find("x") is None and not home.exists(), "looking leaves nothing behind"
    remember(tmp_path / "one", ["x", "y"])
    remember(tmp_path / "two", ["x"])
    assert find("x") == tmp_path / "two" and find("y") == tmp_path / "one"
    assert find(None) is None and find(["x"]) is None and find("z") is None
    assert content(home) == {"y": str(tmp_path / "one"), "x": str(tmp_path / "two")}


def test_a_folder_that_is_a_source_and_a_test_split(home: Path, tmp_path: Path) -> None:
    remember(tmp_path, ["x"], ["y"])
    remember(tmp_path / "test", ["y"])
    for _ in range(2):
        assert find("x") == find("y", "test") == tmp_path and find("y") == tmp_path / "test"
        remember(tmp_path, ["x"], ["y"])
    (home / "sources.json").write_text(json.dumps({"y": "/as/earlier/versions/wrote"}))
    assert find("y", "test") == find("y") == Path("/as/earlier/versions/wrote")


def test_nobody_else_may_look(home: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        remember(tmp_path, ["x"])
    finally:
        os.umask(before)
    assert home.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in home.iterdir()} == {0o600}


def test_a_path_that_is_not_utf8(home: Path, tmp_path: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    remember(strange, ["x"])
    assert find("x") == strange


def test_the_oldest_are_forgotten(home: Path, tmp_path: Path) -> None:
    remember(tmp_path, [str(n) for n in range(MAX_PLACES)])
    remember(tmp_path, ["0"])  # known: not written, and not the newest for it
    remember(tmp_path / "new", ["5", "new"])
    assert len(content(home)) == MAX_PLACES and find("new") == find("5") == tmp_path / "new"
    assert find("0") is None and find("1") == tmp_path


def test_the_file_stays_small(home: Path, tmp_path: Path) -> None:
    long = tmp_path / ("d" * 4000)
    remember(long, [str(n) for n in range(MAX_PLACES)])
    assert (home / "sources.json").stat().st_size <= MAX_BYTES
    assert find(str(MAX_PLACES - 1)) == long and find("0") is None


DAMAGE = [
    b"", b"{", b"[]", b"null", b'{"x": 5}', b'{"x": ["/"]}', b'{"x": "relative"}', b"\xff\xfe",
    b'{"x": "/a\\u0000b"}', b"[" * 100_000, b'{"n": ' + b"9" * 10_000 + b"}",
    b'{"x": "/a"}' + b" " * MAX_BYTES + b"junk",
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_damage_counts_as_empty(home: Path, tmp_path: Path, damage: bytes) -> None:
    home.mkdir(parents=True)
    (home / "sources.json").write_bytes(damage)
    if not damage.startswith(b'{"x": "/a"}'):
        assert find("x") is None
    remember(tmp_path, ["y"])
    assert find("y") == tmp_path


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "dangling"])
def test_something_else_in_its_place(home: Path, tmp_path: Path, kind: str) -> None:
    home.mkdir(parents=True)
    place = home / "sources.json"
    if kind == "folder":
        (place / "inner").mkdir(parents=True)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    assert find("x") is None
    remember(tmp_path, ["x"])
    assert find("x") == (None if kind == "folder" else tmp_path)
    assert not [path for path in home.iterdir() if path.name.startswith(".")]


def test_no_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DRRPACK_STATE", str(tmp_path / "file" / "state"))
    remember(tmp_path, ["x"])
    assert find("x") is None
    monkeypatch.delenv("DRRPACK_STATE")
    monkeypatch.setattr(whereabouts.platformdirs, "user_state_path", lambda *_, **__: Path("~/x"))
    monkeypatch.chdir(tmp_path)
    remember(tmp_path, ["x"])
    assert find("x") is None and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_full(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(tmp_path / "old", ["x"])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    remember(tmp_path / "new", ["x", "y"])
    assert content(home) == {"x": str(tmp_path / "old")}
    assert sorted(path.name for path in home.iterdir()) == ["lock", "sources.json"]


def test_somebody_who_never_lets_go(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whereabouts, "WAIT_SECONDS", 0.05)
    home.mkdir(parents=True)
    with whereabouts._one_at_a_time(home):
        remember(tmp_path, ["x"])
    assert find("x") == tmp_path


WRITER = """
import sys
from pathlib import Path
from drrpack.formats.whereabouts import remember
for number in range(20):
    remember(Path("/somewhere"), [f"{sys.argv[1]}-{number}"])
"""


def test_many_writers_lose_nothing(home: Path) -> None:
    command = [sys.executable, "-c", WRITER]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen([*command, str(n)], env=environment) for n in range(4)]
    assert [process.wait(200) for process in running] == [0] * 4
    assert len(content(home)) == 4 * 20
    assert sorted(path.name for path in home.iterdir()) == ["lock", "sources.json"]


def test_where_it_is_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DRRPACK_STATE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    remember(tmp_path, ["x"])
    (written,) = tmp_path.rglob("sources.json")
    assert written.parent.name == "drrpack"
