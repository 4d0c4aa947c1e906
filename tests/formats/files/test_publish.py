"""A file is published whole or not at all, and what stands in the way is named."""

from __future__ import annotations

import errno
import os
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drr_children import run_child, start_child
from drr_files import LARGE, SMALL, read_all

from drrpack.core.errors import OutputError
from drrpack.formats import layout
from drrpack.formats.container import Chunk, Memory, RawRecord, write
from drrpack.formats.files import publish
from drrpack.formats.layout import Stored


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_writer_killed_before_publication_leaves_the_old_file(small: Path, function: str) -> None:
    status, _, errors = run_child("kill", small, function)
    assert status == -signal.SIGKILL, errors
    assert read_all(small) == SMALL


@pytest.mark.slow
def test_writers_killed_at_any_moment_leave_a_whole_file(small: Path) -> None:
    for delay in (0.0, 0.004, 0.011, 0.017, 0.03):
        with start_child("forever", small) as child:
            assert child.stdout is not None
            child.stdout.readline()
            threading.Event().wait(delay)
            child.kill()
        assert read_all(small) in (SMALL, LARGE)


def test_a_write_that_fails_half_way_leaves_the_old_file_alone(small: Path) -> None:
    _, output, errors = run_child("limit", small)
    assert f"{small}: can't be written" in output, errors
    assert os.listdir(small.parent) == [small.name]
    assert read_all(small) == SMALL


def refused(path: Path, match: str, **options: Any) -> None:
    with pytest.raises(OutputError, match=match) as caught:
        write(path, SMALL, **options)
    assert str(path) in str(caught.value)


def test_outputs_that_cant_be_written(tmp_path: Path, small: Path) -> None:
    before = small.read_bytes()
    refused(small, "`force=True`")
    assert small.read_bytes() == before
    refused(tmp_path / "no" / "mem.drr", "create it first")
    refused(tmp_path, "is a folder", overwrite=True)
    refused(Path("/dev/null"), "device", overwrite=True)
    refused(small / "mem.drr", "no folder .*small.drr, it is a file; check the path")
    refused(tmp_path / ("x" * 300), "give a shorter one")
    assert os.listdir(tmp_path) == [small.name]


def test_a_full_disk_is_seen_before_writing(tmp_path: Path, monkeypatch: Any) -> None:
    disk = os.statvfs(tmp_path)
    full = os.statvfs_result((*disk[:4], 1, *disk[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    refused(tmp_path / "mem.drr", "bytes are needed")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "match"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "permissions")],
)
def test_errors_of_the_file_system(tmp_path: Path, monkeypatch: Any, code: int, match: str) -> None:
    def fail(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    for functions in (("fsync",), ("link", "replace")):
        with monkeypatch.context() as patch:
            for function in functions:
                patch.setattr(os, function, fail)
            refused(tmp_path / "mem.drr", match)
        assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused(tmp_path / "mem.drr", "permissions")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_meanwhile_stays(tmp_path: Path, monkeypatch: Any, links: bool) -> None:
    """Where the file system has links; elsewhere a file that was there before stays."""
    output, honest = tmp_path / "mem.drr", os.fsync

    def late(descriptor: int) -> None:
        output.write_bytes(b"another's")
        honest(descriptor)

    def unknown(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if links:
        monkeypatch.setattr(os, "fsync", late)
        refused(output, r"mem\.drr: exists already; say `force=True`")
        assert output.read_bytes() == b"another's"
    else:
        monkeypatch.setattr(os, "link", unknown)
        write(output, SMALL)
        assert read_all(output) == SMALL
    assert os.listdir(tmp_path) == [output.name]
    assert output.stat().st_nlink == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_bytes_last_before_their_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    """What a power cut leaves depends on this order alone."""
    output, done = tmp_path / "mem.drr", list[tuple[str, str]]()

    def noted(name: str) -> None:
        honest = getattr(os, name)

        def call(*given: Any) -> None:
            kind = "folder" if name == "fsync" and stat.S_ISDIR(os.fstat(given[0]).st_mode) else ""
            done.append((name, kind or f"{output.exists()}"))
            honest(*given)

        monkeypatch.setattr(os, name, call)

    if overwrite:
        write(output, LARGE)
    for name in ("fsync", "link", "replace"):
        noted(name)
    write(output, SMALL, overwrite=overwrite)
    renamed = "replace" if overwrite else "link"
    there = f"{overwrite}"
    assert done == [("fsync", there), (renamed, there), ("fsync", "folder")]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: Any, overwrite: bool
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace" if overwrite else "link", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "mem.drr", SMALL, overwrite=overwrite)
    assert os.listdir(tmp_path) == []


def test_a_disk_that_returns_other_bytes_is_noticed(tmp_path: Path, monkeypatch: Any) -> None:
    honest = publish._fill

    def short(descriptor: int, write: Any) -> None:
        honest(descriptor, write)
        os.truncate(descriptor, os.fstat(descriptor).st_size - 1)

    monkeypatch.setattr(publish, "_fill", short)
    refused(tmp_path / "mem.drr", "read back")
    assert os.listdir(tmp_path) == []


def test_a_symbolic_link_stays_one_and_the_umask_is_kept(tmp_path: Path) -> None:
    (tmp_path / "link.drr").symlink_to(tmp_path / "real.drr")
    mask = os.umask(0o027)
    try:
        write(tmp_path / "link.drr", SMALL)
    finally:
        os.umask(mask)
    assert (tmp_path / "link.drr").is_symlink()
    assert (tmp_path / "real.drr").stat().st_mode & 0o777 == 0o640
    assert read_all(tmp_path / "link.drr") == SMALL


# data of one byte too many, which nobody reads
TOO_LONG = Stored(layout.MAX_STREAM_BYTES + 1, lambda: b"")


def beyond_limits() -> Iterator[Memory]:
    yield replace(SMALL, image_size=(0, 32))
    yield replace(SMALL, image_size=(32, layout.MAX_SIDE + 1))
    yield replace(SMALL, classes=[])
    yield replace(SMALL, classes=["a", "b", "a"])
    for name in ("", "a\0b", "x" * 256, "\udc80"):
        yield replace(SMALL, classes=["a", "b", name])
    yield replace(SMALL, chunks=[Chunk(3, 1, b"", b"", 0)])
    yield replace(SMALL, chunks=[Chunk(-1, 1, b"", b"", 0)])
    yield replace(SMALL, chunks=[Chunk(0, 0, b"", b"", 0)])
    yield replace(SMALL, chunks=[Chunk(0, layout.MAX_IMAGES + 1, b"", b"", 0)])
    yield replace(SMALL, chunks=[Chunk(0, 1, b"", b"", 1 << 64)])
    yield replace(SMALL, chunks=[Chunk(0, 1, b"", TOO_LONG, 0)])
    yield replace(SMALL, raw=[RawRecord(3, 1, b"x")])
    yield replace(SMALL, raw=[RawRecord(0, 0, b"x")])
    yield replace(SMALL, raw=[RawRecord(0, 1, TOO_LONG)])
    yield replace(SMALL, metadata={"x": "y" * layout.MAX_JSON_BYTES})
    yield replace(SMALL, vqvae=replace(SMALL.vqvae, version="1\0"))


@pytest.mark.parametrize("memory", list(beyond_limits()))
def test_what_no_reader_accepts_is_not_written(tmp_path: Path, memory: Memory) -> None:
    with pytest.raises(OutputError, match=r"mem\.drr: can't be written") as caught:
        write(tmp_path / "mem.drr", memory)
    assert "read back" not in str(caught.value), "it was written first"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("limit", ["MAX_CLASSES", "MAX_CHUNKS", "MAX_WEIGHTS_BYTES"])
def test_nor_is_more_than_a_reader_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """`SMALL` has three classes and chunks, two raw records, and weights of 7 and 40 bytes."""
    held = {"MAX_CLASSES": 3, "MAX_CHUNKS": 3, "MAX_WEIGHTS_BYTES": 40}[limit]
    monkeypatch.setattr(layout, limit, held)
    write(tmp_path / "mem.drr", SMALL)
    monkeypatch.setattr(layout, limit, held - 1)
    with pytest.raises(OutputError, match="can't be written"):
        write(tmp_path / "more.drr", SMALL)
    if limit == "MAX_CHUNKS":
        monkeypatch.setattr(layout, limit, 1)
        with pytest.raises(OutputError, match="2 records of raw images: a file holds 1"):
            write(tmp_path / "more.drr", replace(SMALL, chunks=[]))
    assert os.listdir(tmp_path) == ["mem.drr"]


def test_values_that_json_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path / "mem.drr", replace(SMALL, metadata={"psnr_db": float("nan")}))
    with pytest.raises(TypeError):
        write(tmp_path / "mem.drr", replace(SMALL, metadata={"path": tmp_path}))
    assert os.listdir(tmp_path) == []


def test_a_private_file_stays_private(small: Path) -> None:
    small.chmod(0o600)
    write(small, LARGE, overwrite=True)
    assert small.stat().st_mode & 0o777 == 0o600
    small.chmod(0o664)
    write(small, SMALL, overwrite=True)
    assert small.stat().st_mode & 0o777 == 0o664
