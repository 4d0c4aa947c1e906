"""Reported: huggingface/transformers#11323: a run that went on from a checkpoint ended with other
results than one without a break.

Right: a run killed outright (SIGKILL) and resumed ends with the very accuracies of one that was
never broken, and nothing of the break is left behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from samples import folder, run

SMALL = ("--base", "1", "--phases", "2", "--epochs", "3", "--width", "4", "--no-ceiling")


def result(out: Path) -> dict[str, Any]:
    """What a run found, less what differs from run to run."""
    found: dict[str, Any] = json.loads((out / "result.json").read_text())
    phases = [{k: v for k, v in phase.items() if k != "seconds"} for phase in found["phases"]]
    return {k: v for k, v in found.items() if k != "wall_seconds"} | {"phases": phases}


def names(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*"))


@pytest.mark.slow
def test_it_ends_like_one_without_a_break(shared_drr: Path, tmp_path: Path) -> None:
    test = folder(tmp_path / "test", "cat", "dog", "eel", images=4)
    command = ["train", str(shared_drr), "--test", str(test), *SMALL]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(*command, "--out", whole).returncode == 0
    assert len(result(whole)["phases"]) == 3
    program = [sys.executable, "-m", "drrpack", *command, "--out", str(broken)]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 240
        while not list(broken.glob("**/phases/*.pt")) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it had ended before"
    done = run(*command, "--out", broken, "--resume")
    assert done.returncode == 0, done.stderr
    assert result(broken) == result(whole)
    assert names(broken) == names(whole)
