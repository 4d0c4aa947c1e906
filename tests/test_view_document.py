"""The Python in docs/view.md runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drrpack.operations.viewing.catalogue import IMAGES_ON_PAGE
from drrpack.operations.viewing.neighbours import SAMPLE_IMAGES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def document() -> str:
    page = ROOT / "docs" / "view.md"
    if not page.is_file():
        pytest.skip("there is no docs/view.md")
    return page.read_text("utf-8")


def test_the_example(document: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    (block,) = re.findall(r"^```python\n(.*?)^```$", document, re.M | re.S)
    (tmp_path / "example.py").write_text(block)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


def test_its_numbers(document: str) -> None:
    assert f", {IMAGES_ON_PAGE} on a page." in document
    assert document.count(f"{SAMPLE_IMAGES:,} images") == 2
