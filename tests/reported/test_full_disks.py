"""Reported: pytorch/pytorch#10577: a checkpoint that was saved to a full disk ended in a message
without a cause, and was not whole.

Right: a write that the system refuses half-way is told by the path and the cause, with the exit
code of input and output; the old file stays as it was, and nothing is left of the new one.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import run


def no_file_beyond(size: int) -> Callable[[], None]:
    """For a process that is about to start: what the system writes of a file, as on a full disk."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


ELSEWHERE = {
    "merge": "merge {memory} -o {place}/new.drr",
    "arrays": "export {memory} {place}/arrays.npz",
    "preview": "preview {memory} -o {place}/grid.png",
}


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("drop {memory} dog", id="drop"),
        pytest.param("export {memory} {place}/images", id="export"),
        *(pytest.param(c, id=name, marks=pytest.mark.slow) for name, c in ELSEWHERE.items()),
    ],
)
def test_nothing_is_lost_and_nothing_left(mem_drr: Path, tmp_path: Path, command: str) -> None:
    before = mem_drr.read_bytes()
    place = tmp_path / "place"
    place.mkdir()
    words = command.format(memory=mem_drr, place=place).split()
    done = run(*words, preexec_fn=no_file_beyond(1000))
    assert done.returncode == 6, (done.stdout, done.stderr)
    assert (
        "Traceback" not in done.stderr
        and "larger than the file system or your limit" in done.stderr
    )
    assert words[-1] in done.stderr or str(mem_drr) in done.stderr
    assert mem_drr.read_bytes() == before
    assert os.listdir(place) == [] and os.listdir(mem_drr.parent) == ["mem.drr"]
