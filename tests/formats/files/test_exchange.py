"""Several files take the place of others: whenever that stops, nobody takes a half for a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drrpack.core.errors import MissingError, WriteError
from drrpack.formats.file_set import files_of
from drrpack.formats.files.exchange import exchanged
from drrpack.formats.files.publish import remove_leftovers
from drrpack.formats.files.shard_names import shard_set, shards_of
from drrpack.formats.files.unfinished import undo_all

STEPS = 2 + 3  # renames of old files and of new ones


def write_old(folder: Path, count: int = 2) -> None:
    for path in shard_set(folder / "mem.drr", count).paths:
        path.write_text(f"old {path.name}")


def exchange(folder: Path, count: int = 3) -> None:
    output = folder / "mem.drr"
    paths = shard_set(output, count).paths
    with exchanged(shards_of(output), paths, output) as hidden:
        for path in paths:
            (hidden / path.name).write_text(f"new {path.name}")


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def expected(word: str, count: int) -> dict[str, str]:
    names = [path.name for path in shard_set(Path("mem.drr"), count).paths]
    return {name: f"{word} {name}" for name in names}


@pytest.mark.parametrize("old", [0, 2, 3, 5])
def test_old_files_go_and_new_ones_come(tmp_path: Path, old: int) -> None:
    write_old(tmp_path, old)
    exchange(tmp_path)
    assert content(tmp_path) == expected("new", 3)


def test_the_mode_stays(tmp_path: Path) -> None:
    write_old(tmp_path)
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    exchange(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_an_error_while_writing(tmp_path: Path) -> None:
    write_old(tmp_path)
    with (
        pytest.raises(ZeroDivisionError),
        exchanged(
            shards_of(tmp_path / "mem.drr"), [tmp_path / "mem-00000-of-00001.drr"], "mem.drr"
        ) as hidden,
    ):
        (hidden / "mem-00000-of-00001.drr").write_text("half")
        raise ZeroDivisionError
    assert content(tmp_path) == expected("old", 2)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_rename_that_fails_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    write_old(tmp_path)
    rename, calls = os.rename, list[int]()

    def failing(source: Path, target: Path) -> None:
        calls.append(1)
        if len(calls) == step:
            raise PermissionError(13, "no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(WriteError, match=r"mem.drr: can't be written"):
        exchange(tmp_path)
    assert content(tmp_path) == expected("old", 2)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("done", [False, True])
def test_what_is_undone_after_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, done: bool
) -> None:
    """Before and after each rename; a signal may come twice."""
    write_old(tmp_path)
    rename, calls = os.rename, list[int]()

    class Ended(BaseException):
        pass

    def interrupted(source: Path, target: Path) -> None:
        calls.append(1)
        if len(calls) == step:
            if done:
                rename(source, target)
            undo_all()
            undo_all()
            assert content(tmp_path) == expected("old", 2)
            raise Ended
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(Ended):
        exchange(tmp_path)
    assert content(tmp_path) == expected("old", 2)


KILLED = """
import os, signal, sys
from pathlib import Path
from test_exchange import exchange

rename, calls = os.rename, []

def killed(source, target):
    calls.append(1)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)

os.rename = killed
exchange(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(("old", "step"), [(2, 1), (2, 2), (2, 4), (3, 3), (3, 5)])
def test_who_reads_after_a_kill_finds_a_whole_set_or_an_error(
    tmp_path: Path, old: int, step: int
) -> None:
    """Also where the new names are those of old files."""
    write_old(tmp_path, old)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)]),
    }
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, str(step)], env=environment)
    assert done.returncode == -signal.SIGKILL
    pattern = tmp_path / "mem-*.drr"
    if step == 1:
        assert [path.read_text() for path in map(Path, files_of(pattern))] == [
            *expected("old", old).values()
        ]
    else:
        with pytest.raises(MissingError):
            files_of(pattern)
    there = {path.read_text()[:3] for path in shards_of(tmp_path / "mem.drr")}
    assert len(there) <= 1, "old and new files are never mixed"
    assert len(remove_leftovers(tmp_path)) == 1
    exchange(tmp_path)
    assert content(tmp_path) == expected("new", 3)
