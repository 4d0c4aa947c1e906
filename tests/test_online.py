"""The Python in docs/online.md runs as it is printed, and its figures are those that were measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "replay-buffer"


def document() -> str:
    page = ROOT / "docs" / "online.md"
    if not page.is_file():
        pytest.skip("there is no docs/online.md")
    return page.read_text("utf-8")


def outputs(tmp_path: Path) -> list[str]:
    """What each block prints, in a process of its own."""
    printed = []
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", document(), re.M | re.S)):
        (tmp_path / f"block{number}.py").write_text(block)
        command = [sys.executable, "-W", "error", f"block{number}.py"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        printed.append(done.stdout)
    return printed


def test_the_python_runs(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    learned, own = outputs(tmp_path)
    without, with_one = map(float, re.findall(r"0\.\d\d", learned)[:2])
    assert with_one > without + 0.2
    assert "10 classes" in learned and "of 2000 bytes, class-balanced" in learned
    assert re.search(r"^(\d+) images in the file$", learned, re.M)[1] == re.search(  # type: ignore[index]
        r"ReplayBuffer\((\d+) images of 8x8", learned
    )[1]  # type: ignore[index]
    assert own == "{0: 1, 1: 20}\n"
