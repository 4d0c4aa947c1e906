"""Reported: casacore/casacore#1078: a process that opened a table while another wrote it found an
empty file, for a moment.

Right: readers find the old memory or the new one, each whole, at every moment of a change.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from command import Command

CHANGES = 5
READER = """
import json, os, sys
from drrpack.formats.container import Reader
path, stop = sys.argv[1:]
found, times = set(), 0
print("ready", flush=True)
while not os.path.exists(stop) or times < 3:
    with Reader(path) as reader:
        reader.verify()
        found.add(tuple(reader.classes))
    times += 1
print(json.dumps([sorted(found), times]))
"""


def test_each_reads_a_whole_file(mem_drr: Path, tmp_path: Path, drrpack: Command) -> None:
    stop, whole = tmp_path / "stop", Path(shutil.copy(mem_drr, tmp_path / "whole.drr"))
    command = [sys.executable, "-c", READER, str(mem_drr), str(stop)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    readers = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    try:
        for reader in readers:
            assert reader.stdout.readline() == "ready\n"
        for _ in range(CHANGES):
            assert drrpack("drop", mem_drr, "dog").code == 0
            assert drrpack("merge", whole, "-o", mem_drr, "--force").code == 0
    finally:
        stop.touch()
        ended = [reader.communicate(timeout=120) for reader in readers]
    for reader, (output, errors) in zip(readers, ended, strict=True):
        assert reader.returncode == 0, errors
        found, times = json.loads(output.splitlines()[-1])
        assert {tuple(classes) for classes in found} <= {("cat", "dog", "eel"), ("cat", "eel")}
        assert times >= 3
    assert not list(mem_drr.parent.glob(".*"))
    assert sorted(path.name for path in mem_drr.parent.iterdir()) == ["mem.drr"]
