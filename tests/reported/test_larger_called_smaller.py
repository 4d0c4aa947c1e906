"""Reported: catchpoint/WebPageTest#1148: of an image that grew the page says "-19.1% smaller".
Right: what is larger is called larger, with the factor the right way round; nothing is "0.6 times
smaller".
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drrpack.formats.container import Reader, write
from drrpack.operations.edit import drop


def stats(path: Path, *options: str) -> str:
    command = [sys.executable, "-m", "drrpack", "stats", str(path), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=120
    ).stdout


@pytest.mark.parametrize("classes", [10, 1])
def test_a_file_beside_its_pixels(own_drr: Path, classes: int) -> None:
    """Models weigh more than the pixels of one class, and less than those of ten."""
    if classes == 1:
        with Reader(own_drr) as reader:
            content = reader.memory()
        write(own_drr, drop(own_drr, content, list("123456789")), overwrite=True)
    pixels = json.loads(stats(own_drr, "--json"))["raw_bytes"]
    size = own_drr.stat().st_size
    assert (size < pixels) == (classes == 10), "the test needs one file of either kind"
    words = re.search(r"([0-9.]+) times (smaller than|as large as) raw pixels", stats(own_drr))
    assert words is not None
    assert float(words[1]) == pytest.approx(max(size, pixels) / min(size, pixels), abs=0.051)
    assert words[2] == ("smaller than" if size < pixels else "as large as")
