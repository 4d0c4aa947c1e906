"""The Python in docs/sources.md runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_of_sources(tmp_path: Path) -> None:
    page = ROOT / "docs" / "sources.md"
    if not page.is_file():
        pytest.skip("there is no docs/sources.md")
    (block,) = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    (tmp_path / "example.py").write_text(block)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = re.findall(r"# (\(.*\))$", block, re.M)
    assert done.stdout.splitlines() == said and len(said) == 2
