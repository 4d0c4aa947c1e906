"""The Python in the README runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_python_in_the_readme_runs(own_drr: Path) -> None:
    if not (ROOT / "README.md").is_file():
        pytest.skip("there is no README.md")
    found = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert found is not None, "the README shows no Python"
    place = own_drr.parent
    (place / "snippet.py").write_text(found[1])
    # too many workers for a small machine is all that may be said of it
    options = ["-W", "error", "-W", "ignore:This DataLoader will create"]
    command = [sys.executable, *options, "snippet.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and done.stdout.count("loss") >= 1
