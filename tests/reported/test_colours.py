"""Reported: pallets/click#2207: NO_COLOR does not switch the colours of messages off.
Right: NO_COLOR and TERM=dumb switch colours off everywhere, errors included; a file or a pipe gets
none; FORCE_COLOR gives them to a pipe.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

RED = b"\x1b[31m"
PLAIN = {name: "" for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "GITHUB_ACTIONS")}


def error_of(path: Path, on_terminal: bool, **environment: str) -> bytes:
    """What ``drrpack stats`` prints on the error stream about a file that is none of ours."""
    known = {name: value for name, value in os.environ.items() if name not in PLAIN}
    command = [sys.executable, "-m", "drrpack", "stats", str(path)]
    settings = {**known, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **environment}
    if not on_terminal:
        return subprocess.run(command, capture_output=True, env=settings, timeout=120).stderr
    screen, terminal = pty.openpty()
    child = subprocess.Popen(command, stdout=terminal, stderr=terminal, env=settings)
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(screen, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(screen)
    assert child.wait(120) == 3
    return shown


@pytest.mark.parametrize(
    ("on_terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_an_error(
    tmp_path: Path, on_terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"no memory")
    shown = error_of(path, on_terminal, **environment)
    assert b"error: " in shown and path.name.encode() in shown.replace(b"\r\n", b"")
    assert (RED in shown) == coloured
    assert coloured or b"\x1b[" not in shown
