"""The Python in the README runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import drrpack

ROOT = Path(__file__).resolve().parents[1]


def blocks() -> list[str]:
    readme = ROOT / "README.md"
    if not readme.is_file():
        pytest.skip("there is no README.md")
    return re.findall(r"^```python\n(.*?)^```$", readme.read_text(), re.M | re.S)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_python_in_the_readme_runs(tmp_path: Path) -> None:
    """In the order in which it is printed, each block in a process of its own."""
    found = blocks()
    assert len(found) == 2
    for number, block in enumerate(found):
        (tmp_path / f"block{number}.py").write_text(block)
        # too many workers for a small machine is all that may be said of it
        options = ["-W", "error", "-W", "ignore:This DataLoader will create"]
        command = [sys.executable, *options, f"block{number}.py"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    assert (tmp_path / "report.html").stat().st_size > 0
    assert "torch.Size([128, 3, 8, 8]) torch.Size([128])" in done.stdout


def test_every_operation_is_shown() -> None:
    shown = set(re.findall(r"drrpack\.([a-z]+)\(", "".join(blocks())))
    operations = {name for name in drrpack.__all__ if name.islower() and name.isalpha()}
    assert shown == operations
