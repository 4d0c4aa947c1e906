"""The Python in docs/online.md runs as it is printed, and its figures were measured."""

from __future__ import annotations

import json
import re
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


def outputs(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What each block prints; none uses another's names."""
    printed = []
    for block in re.findall(r"^```python\n(.*?)^```$", document(), re.M | re.S):
        exec(compile(block, "docs/online.md", "exec"), {"__name__": "__main__"})
        shown = capsys.readouterr()
        assert shown.err == ""
        printed.append(shown.out)
    return printed


@pytest.mark.usefixtures("one_thread")
def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    learned, own = outputs(capsys)
    without, with_one = map(float, re.findall(r"0\.\d\d", learned)[:2])
    assert with_one > without + 0.2
    assert "10 classes" in learned and "of 2000 bytes, class-balanced" in learned
    held = re.findall(r"ReplayBuffer\((\d+) images of 8x8", learned)
    assert held and re.findall(r"^(\d+) images in the file$", learned, re.M) == held
    assert own == "{0: 1, 1: 20}\n"


# --- figures ---

NAMES = {
    "none": "nothing",
    "raw": "raw images",
    "jpeg": "JPEG files",
    "drr": "`ReplayBuffer`, models not counted",
    "drr-models-counted": "`ReplayBuffer`, models counted",
}


def rows() -> set[tuple[str, ...]]:
    """The cells of every row of every table."""
    lines = [line for line in document().splitlines() if line.startswith("|")]
    return {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines}


def runs() -> dict[tuple[str, int], list[Any]]:
    """What the benchmark wrote, by memory and budget."""
    found: dict[tuple[str, int], list[Any]] = {}
    for path in sorted(RESULTS.glob("*-seed*.json")):
        run = json.loads(path.read_text())
        setting = run["setting"]
        found.setdefault((setting["memory"], setting["budget_bytes"]), []).append(run)
    return found


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_accuracies() -> None:
    measured = runs()
    assert {memory for memory, _ in measured} == set(NAMES)
    shown = {row[:2]: row[2:] for row in rows()}
    for (memory, budget), found in measured.items():
        kept = round(mean([run["memory"]["images"] for run in found]))
        average = mean([mean(run["accuracy_after_each_task"]) for run in found])
        last = mean([run["accuracy_after_each_task"][-1] for run in found])
        cells = f"{kept:,}", f"{average:.1f} %", f"{last:.1f} %", str(len(found))
        assert shown[NAMES[memory], f"{budget // 1000:,} kB" if budget else "0"] == cells


def test_speeds() -> None:
    found, shown = json.loads((RESULTS / "speed.json").read_text()), rows()
    for batch, added in found["added"].items():
        assert (batch, f"{added:,.0f}", f"{found['drawn'][batch]:,.0f}") in shown
    for name, of in found["storage"].items():
        cells = f"{of['bytes_per_image']:.1f}", f"{of['unpacked_per_second']:,.0f}"
        assert (name, *cells) in shown
