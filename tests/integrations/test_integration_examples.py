"""The Python in docs/integrations.md runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import runpy, warnings
warnings.simplefilter("error")
for text in (".*does not have many workers", ".*smaller than the logging interval",
             ".*isinstance.treespec, LeafSpec", ".*have no `validation_step`"):
    warnings.filterwarnings("ignore", text)
for number in range({count}):
    runpy.run_path(f"block{{number}}.py", run_name="__main__")
"""


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path) -> None:
    """In the order in which they are printed, in one process, as libraries load slowly."""
    for name in ("sklearn", "lightning", "datasets"):
        pytest.importorskip(name, reason='pip install "drrpack[test]"')
    text = (ROOT / "docs" / "integrations.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) == 5
    for number, block in enumerate(blocks):
        (tmp_path / f"block{number}.py").write_text(block)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN.format(count=len(blocks))]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    digits = [*"0123456789"]
    shape, united, grown, names = done.stdout.splitlines()
    assert shape == "(1433, 8, 8, 3) 364 torch.Size([3, 8, 8])"
    assert united == str(tuple(digits)) and grown == names == str(digits)
    assert (tmp_path / "again.drr").stat().st_size > 0
