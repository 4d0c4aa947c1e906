"""Ctrl-C and SIGTERM in the middle of writing, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

INTERRUPTED = """
    import os, sys
    from pathlib import Path
    from drrpack.cli.main import main

    number = int(sys.argv.pop(1))
    fsync = os.fsync

    def interrupted(descriptor):
        os.kill(os.getpid(), number)
        fsync(descriptor)

    def once_more(path, **options):
        os.kill(os.getpid(), number)
        unlink(path, **options)

    os.fsync = interrupted  # the file is written, and has not got its name yet
    unlink, Path.unlink = Path.unlink, once_more  # and again while what was written is removed
    main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_and_nothing_is_lost(
    own_drr: Path, tmp_path: Path, number: signal.Signals
) -> None:
    before = own_drr.read_bytes()
    for command in (["drop", own_drr, "3"], ["merge", own_drr, "-o", tmp_path / "new.drr"]):
        script = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(int(number))]
        done = subprocess.run(
            [*script, *map(str, command)], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 130, done.stderr
        assert "interrupted" in done.stderr and "Traceback" not in done.stderr
        assert list(tmp_path.iterdir()) == [own_drr]
        assert own_drr.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_screen_that_is_full(own_drr: Path) -> None:
    for command in (["stats"], ["stats", "--json"], ["verify"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "drrpack", *command, str(own_drr)],
                stdout=full, stderr=subprocess.PIPE, text=True, timeout=120,
            )  # fmt: skip
        assert done.returncode == 6, done.stderr
        assert "No space left" in done.stderr and "Traceback" not in done.stderr
