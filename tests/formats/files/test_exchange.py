"""Several files take the place of others: whenever that stops, nobody takes a half for a whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from drrpack.core.errors import MissingError, WriteError
from drrpack.formats.file_set import files_of
from drrpack.formats.files.exchange import exchanged, finish_exchanges
from drrpack.formats.files.publish import remove_leftovers
from drrpack.formats.files.shard_names import shard_set, shards_of
from drrpack.formats.files.unfinished import undo_all
from drrpack.operations.preparing import tidy

STEPS = 1 + 2 + 3  # renames of the folder, of old files and of new ones


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


@pytest.mark.parametrize("step", range(1, STEPS + 1 + 1))
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("old", [2, 3])
def test_what_is_undone_after_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, done: bool, old: int
) -> None:
    """Before and after each rename; a signal may come twice. After the last one all is new."""
    write_old(tmp_path, old)
    rename, calls = os.rename, list[int]()
    whole = expected("new", 3) if step > 1 + old + 3 else expected("old", old)

    class Ended(BaseException):
        pass

    def interrupted(source: Path, target: Path) -> None:
        calls.append(1)
        if len(calls) == step:
            if done:
                rename(source, target)
            undo_all()
            undo_all()
            assert content(tmp_path) == whole
            raise Ended
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(Ended) as caught:
        exchange(tmp_path)
    assert content(tmp_path) == whole
    assert not hasattr(caught.value, "__notes__"), "that something could not be undone"


@pytest.mark.parametrize("place", ["taken", "a link", "denied"])
def test_old_files_that_can_not_be_moved_back_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    write_old(tmp_path)
    rename, calls, foreign = os.rename, list[int](), tmp_path / "mem-00001-of-00002.drr"

    def failing(source: Path, target: Path) -> None:
        calls.append(1)
        if len(calls) == 1 + 2 + 2:
            if place == "taken":
                foreign.write_text("of another program")
            elif place == "a link":
                foreign.symlink_to("nothing")
            raise PermissionError(13, "no")
        if place == "denied" and target == foreign:
            raise PermissionError(13, "no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(
        WriteError, match=r"mem.drr: can't be written: .*'mem-00001-of-00002.drr'"
    ) as caught:
        exchange(tmp_path)
    monkeypatch.undo()
    (hidden,) = tmp_path.glob(".drr-*")
    assert f"files of before lie in {hidden}: " in str(caught.value)
    kept = hidden / "old" / foreign.name
    assert kept.read_text() == f"old {foreign.name}" and remove_leftovers(tmp_path) == []
    if place != "denied":
        (told,) = finish_exchanges(tmp_path)
        assert str(hidden) in told and kept.exists(), "and nothing is overwritten"
        assert foreign.is_symlink() or foreign.read_text() == "of another program"
        foreign.unlink()
    later(tmp_path)
    assert content(tmp_path) == expected("old", 2)


def only_first_renames(monkeypatch: pytest.MonkeyPatch, *, interrupted: bool = False) -> None:
    """Let the folder get its name and two old files leave; a new one comes, or a signal in its
    place. Nothing can be renamed after that."""
    rename, calls = os.rename, list[int]()

    def failing(source: Path, target: Path) -> None:
        calls.append(1)
        if interrupted and len(calls) == 1 + 2 + 1:
            raise KeyboardInterrupt
        if len(calls) > 1 + 2 + 1:
            raise PermissionError(13, "no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)


def test_an_interrupt_that_can_not_be_undone_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old(tmp_path)
    only_first_renames(monkeypatch, interrupted=True)
    with pytest.raises(KeyboardInterrupt) as caught:
        exchange(tmp_path)
    (hidden,) = tmp_path.glob(".drr-*")
    (note,) = caught.value.__notes__
    assert note.startswith("nor could 2 files be moved back ('mem-00000-of-00002.drr', 'mem-")
    assert f"files of before lie in {hidden}: " in note


def test_a_new_file_that_can_not_be_moved_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No old file lies beside it, and the exchange can only go on."""
    write_old(tmp_path)
    only_first_renames(monkeypatch)
    with pytest.raises(WriteError, match=r"'mem-00000-of-00003.drr'\), so files of before lie in"):
        exchange(tmp_path)
    monkeypatch.undo()
    assert [path.name for path in shards_of(tmp_path / "mem.drr")] == ["mem-00000-of-00003.drr"]
    later(tmp_path)
    assert content(tmp_path) == expected("new", 3)


KILLED = """
import json, os, signal, sys
from pathlib import Path
from drrpack.formats.files.exchange import exchanged, finish_exchanges
from drrpack.formats.files.shard_names import shard_set, shards_of

def exchange(folder):
    output = folder / "mem.drr"
    paths = shard_set(output, 3).paths
    with exchanged(shards_of(output), paths, output) as hidden:
        for path in paths:
            (hidden / path.name).write_text(f"new {path.name}")

def killing(honest):
    def step(*given, **named):
        calls.append(1)
        if len(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(*given, **named)
    return step

calls, work = [], {"exchange": exchange, "finish": finish_exchanges}
os.rename, os.unlink, os.rmdir = map(killing, (os.rename, os.unlink, os.rmdir))
for folder, what, last in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        work[what](Path(folder))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    print(int(status != 0))
"""


def killed(*cases: tuple[Path, str, int]) -> list[bool]:
    """For each folder, kill a process before its rename or removal of this number, from 1.

    Returns whether it came to that, or the process was done before.
    """
    given = json.dumps([(str(folder), what, step) for folder, what, step in cases])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return [line == "1" for line in done.stdout.split()]


def later(folder: Path) -> list[str]:
    """What a later command says, which tidies up in the folder of whatever it writes."""
    told = list[str]()
    tidy(folder / "another.npz", lambda event: told.append(str(event)))
    return told


def folders(place: Path, count: int, old: int) -> list[Path]:
    made = [place / str(n) for n in range(count)]
    for folder in made:
        folder.mkdir()
        write_old(folder, old)
    return made


@pytest.mark.parametrize("old", [0, 2, 3])
def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path, old: int) -> None:
    """Also where the new names are those of old files."""
    renames = 1 + old + 3 + 1  # the last is that of the folder, before it is removed
    places = folders(tmp_path, renames + old + 3, old)
    came = killed(*((folder, "exchange", step) for step, folder in enumerate(places, 1)))
    assert came == [True] * (len(places) - 1) + [False]
    whole = [expected("old", old), expected("new", 3)]
    for step, folder in enumerate(places, 1):
        outside = {path.name: path.read_text() for path in shards_of(folder / "mem.drr")}
        assert len({text[:3] for text in outside.values()}) <= 1, "they are never mixed"
        if outside not in whole or not outside:
            with pytest.raises(MissingError) as caught:
                files_of(folder / "mem-*.drr")
            hinted = "the next command that writes a file beside it brings them" in str(
                caught.value
            )
            assert hinted == (step > 1)
        told = later(folder)
        assert content(folder) == whole[1 if step > 1 + old else 0]
        assert len(told) == int(step < len(places)) and later(folder) == []


def test_a_kill_while_it_is_finished(tmp_path: Path) -> None:
    steps = range(2, 7)  # after the hidden folder has its last name, and before it loses it
    for again in range(1, 9):
        (tmp_path / str(again)).mkdir()
        places = folders(tmp_path / str(again), len(steps), 2)
        assert all(killed(*((f, "exchange", n) for f, n in zip(places, steps, strict=True))))
        came = killed(*((folder, "finish", again) for folder in places))
        assert all(came) or again > 3
        for step, folder in zip(steps, places, strict=True):
            later(folder)
            assert content(folder) == (expected("new", 3) if step > 3 else expected("old", 2))


@pytest.mark.parametrize("fails", [False, True])
def test_a_running_exchange_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Forth, or back after an error at the last new file."""
    write_old(tmp_path)
    rename, calls = os.rename, list[int]()

    def watched(source: Path, target: Path) -> None:
        calls.append(1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", rename)
            assert later(tmp_path) == []
        if fails and len(calls) == STEPS:
            raise ZeroDivisionError
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)
    with pytest.raises(ZeroDivisionError) if fails else nullcontext():
        exchange(tmp_path)
    assert content(tmp_path) == (expected("old", 2) if fails else expected("new", 3))
    assert len(calls) == (STEPS + 2 + 2 + 1 if fails else STEPS + 1)


# --- folders that look otherwise than any kill leaves them ---


def left(folder: Path, new: Sequence[int], outside: Sequence[str], old: Sequence[str]) -> Path:
    """The folder of an exchange for three files, and what lies in it and outside."""
    ready = folder / ".drr-0123456789abcdef.swap"
    ready.mkdir()
    for number in new:
        (ready / f"mem-{number:05}-of-00003.drr").write_text("new")
    for name in outside:
        (folder / name).write_text("outside")
    if old:
        (ready / "old").mkdir()
        for name in old:
            (ready / "old" / name).write_text("old")
    return ready


def test_a_new_file_that_went_away(tmp_path: Path) -> None:
    """The old ones are all that there is of them."""
    old = ["mem-00000-of-00002.drr", "mem-00001-of-00002.drr"]
    ready = left(tmp_path, [], ["mem-00000-of-00003.drr", "mem-00002-of-00003.drr"], old)
    (told,) = finish_exchanges(tmp_path)
    assert "can't be moved to their place: see whether others are there" in told
    assert sorted(path.name for path in (ready / "old").iterdir()) == old


def test_old_files_that_were_not_all_there(tmp_path: Path) -> None:
    left(tmp_path, [0, 1, 2], ["mem-00002-of-00003.drr"], ["mem-00000-of-00003.drr"])
    (told,) = finish_exchanges(tmp_path)
    assert told.startswith("brought the old files")
    assert content(tmp_path) == {
        "mem-00000-of-00003.drr": "old", "mem-00002-of-00003.drr": "outside",
    }  # fmt: skip


def test_a_folder_without_one_for_old_files(tmp_path: Path) -> None:
    left(tmp_path, [0, 1, 2], [], [])
    (told,) = finish_exchanges(tmp_path)
    assert told.startswith("brought the new files")
    assert sorted(content(tmp_path)) == sorted(expected("new", 3))


def test_files_of_two_memories_in_one_folder(tmp_path: Path) -> None:
    ready = left(tmp_path, [0, 1, 2], [], ["other-00000-of-00001.drr"])
    before = sorted(ready.rglob("*"))
    (told,) = finish_exchanges(tmp_path)
    assert (
        told
        == f"{ready}: found files of several memories, expected those of one: sort them by hand"
    )
    assert sorted(ready.rglob("*")) == before and os.listdir(tmp_path) == [ready.name]
