"""Reported: Backblaze/B2_Command_Line_Tool#1071: output piped through head ended in a traceback.

Right: when nobody reads any more a command ends, without a word and without a traceback.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from samples import run


@pytest.mark.parametrize(
    "command", ["stats", "verify", "--help", pytest.param("stats --json", marks=pytest.mark.slow)]
)
def test_a_reader_that_is_gone(shared_drr: Path, command: str) -> None:
    gone, output = os.pipe()
    os.close(gone)
    arguments = command.split() if "help" in command else [*command.split(), str(shared_drr)]
    try:
        done = run(*arguments, capture_output=False, stdout=output, stderr=subprocess.PIPE)
    finally:
        os.close(output)
    assert done.stderr == ""
    assert done.returncode == 1


def test_head(shared_drr: Path) -> None:
    stats = shlex.join([sys.executable, "-m", "drrpack", "stats", str(shared_drr)])
    done = subprocess.run(
        f"{stats} | head -n 1", shell=True, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "18 images" in done.stdout
