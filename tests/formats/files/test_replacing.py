"""One writer for one path, from the start of its work to the end, whatever ends it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from drrpack.core.errors import OutputError
from drrpack.formats.files import publish
from drrpack.formats.files.publish import changing, remove_leftovers, replacing

SPAWN = multiprocessing.get_context("spawn")


def hold(path: str, pipe: Connection) -> None:
    """Be the writer of ``path`` until the other side says so, or for ever."""
    try:
        with replacing(Path(path)):
            pipe.send("held")
            pipe.recv()
    except OutputError as error:
        pipe.send(str(error))


@contextmanager
def another_writer(path: Path) -> Iterator[multiprocessing.process.BaseProcess]:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(str(path), theirs))
    process.start()
    assert ours.recv() == "held"
    try:
        yield process
    finally:
        if process.is_alive():
            ours.send("enough")
        process.join()


def refused(path: Path, words: str, hold: Any = replacing) -> None:
    with (
        pytest.raises(OutputError, match=f"{path.name}: another process is {words}"),
        hold(path),
    ):
        pass


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "mem.drr"


@pytest.mark.parametrize("there", [False, True])
def test_the_second_is_told_at_once(target: Path, there: bool) -> None:
    if there:
        target.write_bytes(b"old")
    before = os.listdir(target.parent)
    with another_writer(target):
        refused(target, "writing it")
        with replacing(target.with_name("other.drr")):
            pass
    with replacing(target):
        pass
    assert os.listdir(target.parent) == before


def test_a_link_is_the_same_path(target: Path) -> None:
    target.with_name("link.drr").symlink_to(target.name)
    with another_writer(target):
        refused(target.with_name("link.drr"), "writing it")


def test_what_dies_with_its_process(target: Path) -> None:
    with another_writer(target) as writer:
        assert remove_leftovers(target.parent) == []  # it lives
        writer.kill()
        writer.join()
        (left,) = target.parent.iterdir()
        with replacing(target):
            pass
        assert not left.exists()
    left.touch()
    assert remove_leftovers(target.parent) == [left]
    assert os.listdir(target.parent) == []


def test_a_writer_and_a_change_hold_each_other_off(target: Path) -> None:
    target.write_bytes(b"old")
    with another_writer(target):
        refused(target, "changing it", changing)
    with changing(target):
        refused(target, "changing it")


def test_within_one_thread_it_may_be_entered_again(target: Path) -> None:
    with replacing(target), replacing(target):
        refused: list[str] = []

        def try_it() -> None:
            try:
                with replacing(target):
                    refused.append("was not")
            except OutputError as error:
                refused.append(str(error))

        other = threading.Thread(target=try_it)
        other.start()
        other.join()
    assert len(refused) == 1 and "another process is writing it" in refused[0]
    with replacing(target):
        pass
    assert os.listdir(target.parent) == []


def test_a_lock_that_is_removed_meanwhile_is_no_lock(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last holder removes it, with the next one waiting for the file that is gone."""
    flock, calls = publish.fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not calls:
            (lock,) = target.parent.iterdir()
            lock.unlink()
        calls.append(how)
        flock(descriptor, how)

    monkeypatch.setattr(publish.fcntl, "flock", late)
    with replacing(target):
        (lock,) = target.parent.iterdir()
        with another_thread_refused(target):
            pass
    assert not lock.exists()


@contextmanager
def another_thread_refused(path: Path) -> Iterator[None]:
    found: list[bool] = []

    def try_it() -> None:
        with pytest.raises(OutputError), replacing(path):
            pass
        found.append(True)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert found
    yield


def test_no_link_is_followed(target: Path) -> None:
    """Somebody who may write into the folder may put a link where the lock will be."""
    with replacing(target):
        (lock,) = target.parent.iterdir()
    precious = target.with_name("precious")
    lock.symlink_to(precious)
    with pytest.raises(OutputError, match="round in a circle"), replacing(target):
        pass
    assert not precious.exists()
