"""Reported: Gallopsled/pwntools#966: on Windows the import ends with "No module named fcntl".
Right: where a system is not supported the package says so: in its metadata, and in one sentence
from the command line and from Python, with a way out.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

WINDOWS = """
    import os, sys
    sys.platform = "win32"
    sys.modules["fcntl"] = None
    del os.pread, os.statvfs, os.fork
"""
SENTENCE = "found Windows, expected Linux or macOS: "


def on_windows(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(WINDOWS) + textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("options", [[], ["--help"], ["stats", "mem.drr"]])
def test_the_command_line(options: list[str]) -> None:
    done = on_windows(f"sys.argv = ['drrpack', *{options}]; import runpy\n" + textwrap.dedent("""
        runpy.run_module("drrpack", run_name="__main__")
    """))  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: {SENTENCE}") and "WSL" in done.stderr
    assert done.stderr.count("\n") == 1, "one line, no traceback"


@pytest.mark.parametrize(
    "script",
    ["from drrpack import DRRDataset", "import drrpack; drrpack.DRRDataset",
     "import drrpack.formats.container", "import drrpack.formats.files.publish"],
)  # fmt: skip
def test_from_python(script: str) -> None:
    done = on_windows(script)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: {SENTENCE}")


def test_the_metadata() -> None:
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    systems = {line for line in project["classifiers"] if line.startswith("Operating System")}
    assert systems == {"Operating System :: MacOS", "Operating System :: POSIX :: Linux"}
