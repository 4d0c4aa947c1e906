"""The command line answers at once: help, version and typos wait for no large library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import torch

import drrpack

ROOT = Path(__file__).resolve().parents[1]
SLOW_TO_IMPORT = {"PIL", "h5py", "matplotlib", "numpy", "scipy", "sklearn", "torch", "torchvision"}


def start(*arguments: str) -> tuple[str, set[str]]:
    """What the command prints, and the top-level names of the modules that it imported."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    timed = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(timed) == len(done.stderr.splitlines()), "something else on the error stream"
    return done.stdout, {line.split("|")[-1].strip().split(".")[0] for line in timed}


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("encdoe", "No such command 'encdoe'"),
        ("encode images -o m.drr --qualty 3", "--quality"),
        ("encode images", "--output"),
        ("stats", "Missing argument"),
        ("train mem.drr --seed x", "Invalid value for '--seed'"),
        ("preview mem.drr -o grid.png --rows 0", "--rows"),
    ],
)
def test_a_typo_is_told_at_once(typed: str, hint: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "drrpack", *typed.split()]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and hint in done.stderr
    timed = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.split("|")[-1].strip().split(".")[0] for line in timed}
    assert "typer" in imported and not imported & SLOW_TO_IMPORT


COMMANDS = (
    "encode",
    "stats",
    "preview",
    "view",
    "compare",
    "train",
    "report",
    "append",
    "drop",
    "merge",
    "verify",
    "doctor",
)


@pytest.mark.parametrize("command", ["", *COMMANDS, "export"])
def test_help_is_light(command: str) -> None:
    shown, imported = start("-m", "drrpack", *command.split(), "--help")
    assert "Usage" in shown
    assert not imported & SLOW_TO_IMPORT


def test_the_installed_command_is_light() -> None:
    script = Path(sys.executable).parent / "drrpack"
    if not script.is_file():
        pytest.skip("drrpack is not installed in this environment")
    shown, imported = start(str(script), "--help")
    assert "Usage" in shown
    assert not imported & SLOW_TO_IMPORT


def test_version_is_light() -> None:
    shown, imported = start("-m", "drrpack", "--version")
    hdf5 = h5py.version.hdf5_version
    assert shown == (
        f"drrpack {drrpack.__version__} (torch {torch.__version__.split('+')[0]}, "
        f"h5py {h5py.__version__} with HDF5 {hdf5})\n"
    )
    assert imported & SLOW_TO_IMPORT <= {"h5py", "numpy"}, "only what knows HDF5's version"
