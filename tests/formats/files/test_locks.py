"""What is being written is never taken for a leftover, at any moment before it has its name."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from drrpack.core.errors import WriteError
from drrpack.formats import whereabouts
from drrpack.formats.files.exchange import exchanged
from drrpack.formats.files.locks import new_file, new_folder
from drrpack.formats.files.publish import (
    publish,
    remove_leftovers,
    whole_file,
    whole_folder,
    write_atomic,
)


@pytest.fixture(autouse=True)
def no_file_stays_open() -> Iterator[None]:
    """A program that writes often would come to the limit of open files. What other tests have left
    to the garbage collector may be closed meanwhile."""
    gc.collect()
    before = set(os.listdir("/dev/fd"))
    yield
    assert set(os.listdir("/dev/fd")) <= before


def put(file: Any) -> None:
    file.write(b"new")


def by_publish(folder: Path) -> None:
    publish(folder / "made", put, lambda _: None, need_bytes=3, overwrite=True)


def by_publish_without_overwriting(folder: Path) -> None:
    publish(folder / "made", put, lambda _: None, need_bytes=3)


def by_write_atomic(folder: Path) -> None:
    write_atomic(folder / "made", put)


def as_a_folder(folder: Path) -> None:
    with whole_folder(folder / "made", folder / "made") as hidden:
        (hidden / "0.png").write_bytes(b"new")


def as_several(folder: Path) -> None:
    with exchanged([], [folder / "made"], folder / "made") as hidden:
        (hidden / "made").write_bytes(b"new")


def as_whereabouts(folder: Path) -> None:
    whereabouts._write(folder, {"digest": "/somewhere"})


WRITERS = [
    by_publish, by_publish_without_overwriting, by_write_atomic, as_a_folder, as_several,
    as_whereabouts,
]  # fmt: skip
Writer = Callable[[Path], None]


def whole(folder: Path) -> bool:
    """Whether one thing was made, and nothing else is there."""
    (made,) = folder.iterdir()
    return not made.name.startswith(".") and (made.is_dir() or made.stat().st_size >= 3)


@pytest.mark.parametrize("write", WRITERS)
def test_a_finished_one_that_has_no_name_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Writer
) -> None:
    removed = list[Path]()
    for function in ("replace", "rename", "link"):
        honest = getattr(os, function)

        def late(old: Path, new: Path, honest: Any = honest) -> None:
            removed.extend(remove_leftovers(tmp_path))
            honest(old, new)

        monkeypatch.setattr(os, function, late)
    write(tmp_path)
    assert removed == [] and whole(tmp_path)


@pytest.mark.parametrize("write", WRITERS)
def test_one_that_has_just_been_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Writer
) -> None:
    """It is removed before it is locked, and made again."""
    removed, honest = list[Path](), fcntl.flock

    def late(descriptor: int, how: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", honest)
            removed.extend([] if removed else remove_leftovers(tmp_path))
        honest(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write(tmp_path)
    assert len(removed) == 1 and whole(tmp_path)


@pytest.mark.parametrize("goes", [True, False])
def test_one_at_which_another_process_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes: bool
) -> None:
    """That process has it locked for a moment; it removes it, or ends before that."""
    honest, others = fcntl.flock, list[tuple[Path, int]]()

    def late(descriptor: int, how: int) -> None:
        if not others:
            (hidden,) = tmp_path.iterdir()
            others.append((hidden, os.open(hidden, os.O_RDONLY)))
            honest(others[0][1], how)
        honest(descriptor, how)

    def sleep(_: float) -> None:
        hidden, descriptor = others[0]
        if goes:
            hidden.unlink()
        os.close(descriptor)

    monkeypatch.setattr(fcntl, "flock", late)
    monkeypatch.setattr(time, "sleep", sleep)
    with whole_file(tmp_path / "made", tmp_path / "made") as (hidden, descriptor):
        os.write(descriptor, b"new")
        assert remove_leftovers(tmp_path) == [] and hidden.read_bytes() == b"new"
    assert whole(tmp_path)


def test_one_that_another_process_keeps_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: int) -> None:
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", taken)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(WriteError, match="made: can't be written: another process holds its lock"):
        write_atomic(tmp_path / "made", put)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Writer
) -> None:
    def unknown(*_: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", unknown)
    write(tmp_path)
    assert whole(tmp_path)


@pytest.mark.parametrize("make", [new_file, new_folder])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
def test_what_another_program_put_there(
    tmp_path: Path, make: Callable[[Path], AbstractContextManager[object]], kind: str
) -> None:
    """It is neither taken for a new one nor followed, and stays."""
    precious, path = tmp_path / "precious", tmp_path / ".drr-0123456789abcdef.tmp"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("another's")
    else:
        if kind == "link":
            precious.write_text("another's")
        path.symlink_to(precious)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(FileExistsError), make(path):
        pass
    assert sorted(os.listdir(tmp_path)) == before
    assert kind in ("folder", "dangling link") or path.read_text() == "another's"


# --- what is left over, and what only looks so ---


def leftover(folder: Path) -> Path:
    return folder / ".drr-0123456789abcdef.tmp"


def test_a_leftover_goes_and_a_link_stays(tmp_path: Path) -> None:
    leftover(tmp_path).write_text("half")
    assert remove_leftovers(tmp_path) == [leftover(tmp_path)]
    leftover(tmp_path).symlink_to(tmp_path / "precious")
    assert remove_leftovers(tmp_path) == [] and leftover(tmp_path).is_symlink()


@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(leftover(tmp_path))
    assert remove_leftovers(tmp_path) == [leftover(tmp_path)]


def test_leftovers_stay_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    leftover(tmp_path).write_text("half")
    monkeypatch.setattr(fcntl, "flock", unknown)
    assert remove_leftovers(tmp_path) == [] and leftover(tmp_path).exists()


def test_a_name_that_another_file_has_got_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be that of a living writer, who locks it in the next moment."""
    honest = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        (tmp_path / "other").write_text("of a writer")
        (tmp_path / "other").rename(leftover(tmp_path))
        honest(descriptor, how)

    leftover(tmp_path).write_text("half")
    monkeypatch.setattr(fcntl, "flock", late)
    assert remove_leftovers(tmp_path) == []
    assert leftover(tmp_path).read_text() == "of a writer"
