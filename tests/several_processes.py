"""Start commands by several processes, and kill one of these."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

IN_PARTS = """
import sys
from drrpack.cli.main import main
from drrpack.operations.encoding import pieces
pieces.PART_PIXELS = 30 * 32 * 32  # a class of tiny_memory's digits in each
main()
"""


def in_parts(folder: Path) -> Path:
    """A program that is ``drrpack`` with a class in each part of an encode."""
    path = folder / "program.py"
    path.write_text(IN_PARTS)
    return path


def started(*command: object) -> subprocess.Popen[str]:
    """Python with these arguments, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def by_torchrun(processes: int, *command: object) -> subprocess.Popen[str]:
    """The command in so many processes that torchrun starts."""
    return started("-m", "torch.distributed.run", f"--nproc-per-node={processes}", *command)


def errors_after_a_kill(run: subprocess.Popen[str]) -> str:
    """Kill the last process that torchrun has started; returns what all printed as errors."""
    of_ranks = subprocess.run(
        ["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(of_ranks[-1]), signal.SIGKILL)
    return run.communicate(timeout=120)[1]
