"""Why a file can't be written, in words that name the fix, for every reason a system may have."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drrpack.core.errors import OutputError, WriteError
from drrpack.formats.files import places
from drrpack.formats.files.places import check_output, make_folder, reason
from drrpack.formats.files.publish import write_atomic


@pytest.mark.parametrize(
    ("code", "fix", "wrong"),
    [
        (errno.ENOSPC, "free some space", "permission"),
        (errno.EDQUOT, "free some space", "permission"),
        (errno.EROFS, "read-only; choose another place", "permission"),
        (errno.EACCES, "change its permissions", "read-only"),
        (errno.EPERM, "whatever the permissions are", "change its permissions"),
        (errno.ENAMETOOLONG, "give a shorter one", "another place"),
        (errno.ENOTDIR, "check the path", "another place"),
        (errno.ENOENT, "create it first", "another place"),
        (errno.ELOOP, "round in a circle", "another place"),
        (errno.EFBIG, "ulimit -f", "permission"),
        (errno.ETXTBSY, "a program that is running", "permission"),
        (errno.EIO, "the disk fails", "permission"),
        (errno.EMFILE, "ulimit -n", "another place"),
    ],
)
def test_reasons(code: int, fix: str, wrong: str) -> None:
    words = reason(OSError(code, os.strerror(code)))
    assert fix in words and wrong not in words


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "no" / "such"
    with pytest.raises(WriteError, match=f"there is no folder {folder}; create it first"):
        write_atomic(folder / "page.html", lambda file: file.write(b""))
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "gone"))
    assert str(tmp_path) not in reason(gone), "that folder is there"


def test_any_other_reason_is_the_systems_own() -> None:
    assert reason(OSError(errno.EBADF, "Bad file descriptor")).startswith("Bad file descriptor;")
    assert reason(ValueError("embedded null byte")).startswith("embedded null byte;")


def read_only_folders() -> Iterator[Path]:
    """Folders that this system has mounted to be read alone."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place, options = line.split()[1], line.split()[3]
        if "ro" in options.split(",") and os.path.isdir(place):
            yield Path(place)


def statvfs_with(flags: int) -> Any:
    honest = os.statvfs

    def changed(path: Any) -> os.statvfs_result:
        found = list(honest(path))
        found[8] = flags
        return os.statvfs_result(found)

    return changed


@pytest.mark.parametrize(
    ("flags", "words"), [(os.ST_RDONLY, "read-only"), (0, "change its permissions")]
)
def test_a_folder_into_which_nothing_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, words: str
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", statvfs_with(flags))
    for check in (lambda: check_output(tmp_path / "mem.drr"), lambda: make_folder(tmp_path)):
        with pytest.raises(OutputError, match=words):
            check()


def test_file_systems_that_are_read_only_here(tmp_path: Path) -> None:
    """As the system itself answers; where there is none the test above has to do."""
    for folder in read_only_folders():
        assert places._is_read_only(folder), folder
    assert not places._is_read_only(tmp_path)


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file: can't be made: File exists"):
        make_folder(tmp_path / "file")
    with pytest.raises(OutputError, match=r"a part of the path is a file"):
        make_folder(tmp_path / "file" / "deeper")
    assert make_folder(tmp_path / "a" / "b").is_dir()
