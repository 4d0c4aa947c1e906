"""Reported: Textualize/rich#501: tables that are piped are wrapped at 80 columns.
Right: a table that goes into a file or a pipe is whole: each row is one line with all its cells,
whatever the terminal or COLUMNS say, and ends where its last column ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WIDTHS = pytest.mark.parametrize("columns", [None, "40"])


def printed(columns: str | None, *arguments: str | Path, **more: str) -> list[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", **more}
    environment.pop("COLUMNS", None)
    if columns is not None:
        environment["COLUMNS"] = columns
    done = subprocess.run(
        [sys.executable, "-m", "drrpack", *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", timeout=280, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check(lines: list[str], headings: list[str]) -> int:
    """Every heading is there, and rows are whole; returns the number of rows."""
    (heading,) = (line for line in lines if all(one in line for one in headings))
    rows = [line for line in lines if line.startswith("│") and line.count("│") == len(headings) + 1]
    assert not any("…" in line for line in lines)
    assert all(len(line.rstrip()) < 250 for line in lines)
    assert all(line.endswith("│") for line in rows)
    assert heading.count("┃") == len(headings) + 1
    return len(rows)


@WIDTHS
def test_compare(digits_drr: Path, digits_folder: Path, columns: str | None) -> None:
    lines = printed(
        columns, "compare", digits_folder, "--codec", digits_drr, "--sample", "20", "--classes", "2"
    )
    headings = [
        "kept as", "bytes/image", "MB", "PSNR dB", "SSIM", "encode/s", "decode/s", "accuracy %",
    ]  # fmt: skip
    assert check(lines, headings) > 10
    assert any("DRR thin q100" in line for line in lines)


@WIDTHS
def test_stats(digits_drr: Path, columns: str | None) -> None:
    lines = printed(columns, "stats", digits_drr, FORCE_COLOR="", NO_COLOR="1")
    assert check(lines, ["part", "bytes", "bytes/image", "share"]) == 6 + 3  # and of the codes
