"""What is being written is never taken for a leftover, at any moment before it has its name."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drrpack.core.errors import WriteError
from drrpack.formats import whereabouts
from drrpack.formats.files.exchange import exchanged
from drrpack.formats.files.publish import (
    publish,
    remove_leftovers,
    whole_file,
    whole_folder,
    write_atomic,
)


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
