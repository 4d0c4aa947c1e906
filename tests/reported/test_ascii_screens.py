"""Reported: Textualize/rich#212: the program fails with UnicodeEncodeError where output is ASCII.
Right: no command fails on what it prints. What an output can't encode is shown as escapes, and the
exit code is that of the work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import without_progress

ASCII = {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"}


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "drrpack", *map(str, arguments)],
        capture_output=True, timeout=120,
        env={**os.environ, **ASCII, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


@pytest.fixture
def foreign(context_drr: Path, tmp_path: Path) -> Path:
    """A file in a folder that ASCII has no letters for."""
    folder = tmp_path / "Bücher 猫"
    folder.mkdir()
    return Path(shutil.copy(context_drr, folder / "mem.drr"))


@pytest.mark.parametrize("command", ["stats", "drop", "merge", "export", "preview", "verify"])
def test_what_is_printed_fails_no_command(foreign: Path, command: str) -> None:
    output = foreign.with_name("neu ö.npz" if command == "export" else "neu ö.png")
    rest = {
        "drop": ["3"], "export": [output], "preview": ["-o", output], "merge": ["-o", output],
        "verify": ["--full"],
    }.get(command, [])  # fmt: skip
    done = run(command, foreign, *rest)
    assert (done.returncode, without_progress(done.stderr.decode("ascii"))) == (0, "")
    assert rb"B\xfccher \u732b" in done.stdout
    assert done.stdout.isascii()


def test_an_error_that_names_the_path(foreign: Path) -> None:
    foreign.write_bytes(b"no memory")
    done = run("stats", foreign)
    assert done.returncode == 3 and done.stdout == b""
    assert done.stderr.startswith(b"error: ") and rb"B\xfccher \u732b" in done.stderr


def test_a_path_that_is_no_text_on_a_screen_that_is_utf8(own_drr: Path) -> None:
    """Names of files are bytes; what is no UTF-8 reaches Python as lone surrogates."""
    folder = own_drr.parent / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has no such names")
    moved = shutil.move(own_drr, folder / "mem.drr")
    done = run("verify", moved, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"caf\udce9" in done.stdout
