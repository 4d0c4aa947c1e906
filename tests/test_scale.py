"""The Python in docs/scale.md runs as it is printed, and its figures were measured."""

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
PAGE = ROOT / "docs" / "scale.md"


@pytest.mark.slow
def test_the_python_of_large_memories_runs(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    page = ROOT / "docs" / "scale.md"
    if not page.is_file():
        pytest.skip("there is no docs/scale.md")
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    (tmp_path / "example.py").write_text("\n".join(blocks))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1433 True"] * 2 + [
        "True 1722", "[6, 6]", "digits-*-of-00003.drr 3", "1433",
    ]  # fmt: skip


def results(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))


def cells_of(start: str) -> list[str]:
    """The cells after the first one, of the only row of docs/scale.md that begins so."""
    lines = (ROOT / "docs" / "scale.md").read_text("utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize(
    ("start", "task"),
    [("`drrpack encode` |", "encode"), ("`drrpack verify`, all", "verify --full"),
     ("`drrpack export` to", "export to .npz"), ("an epoch of", "epoch"),
     ("`drrpack append` of", "append"), ("`drrpack merge` with", "merge")],
)  # fmt: skip
def test_peaks_were_measured_and_are_flat(start: str, task: str) -> None:
    found = results("bounded-writing")
    peaks = [tasks[task]["peak_mb"] for tasks in found["times"].values()]
    slopes = found["CPU seconds for a thousand further images"][task]  # so ms for one
    shown = [f"{slope:.2f}" for slope in slopes] if task not in ("append", "merge") else ["", ""]
    assert cells_of(start) == [*(f"{peak:.0f}" for peak in peaks), *shown]
    assert max(peaks) < 1.1 * min(peaks)
    if task in ("encode", "epoch"):
        assert max(slopes) < 1.1 * min(slopes)


@pytest.mark.parametrize(
    ("start", "task"),
    [("`drrpack encode` of them", "encode"), ("`drrpack verify --full` of", "verify --full"),
     ("one pass of", "epoch")],
)  # fmt: skip
def test_a_million_images(start: str, task: str) -> None:
    found = results("million")
    names = "cpu_seconds", "seconds", "peak_mb"
    assert cells_of(start) == [f"{found[task][name]:,.0f}" for name in names]
    assert found["images"] == 10**6
    assert f"The file has {found['file_bytes'] / 1e6:.1f} MB" in PAGE.read_text("utf-8")


def test_what_each_of_several_processes_takes() -> None:
    found = results("ranks")
    assert found["equal files"] is True
    runs = {f"{n} process{'es' * (n > '1')}": run["each"] for n, run in found["ranks"].items()}
    runs["4 processes, after a kill"] = found["killed"]["again"]["each"]
    for start, (first, *others) in runs.items():
        shown = [f"{first['cpu_seconds']:.1f}", f"{first['peak_mb']:.0f}"]
        cells = cells_of(f"{start} |")
        assert [cells[0], cells[2]] == shown
        for cell, name, digits in ((cells[1], "cpu_seconds", 1), (cells[3], "peak_mb", 0)):
            values = sorted({f"{other[name]:.{digits}f}" for other in others})
            assert cell == (" to ".join(dict.fromkeys((values[0], values[-1]))) if values else "")
    assert f"when {found['killed']['parts before']} of 9 parts were there" in PAGE.read_text(
        "utf-8"
    )


@pytest.mark.parametrize(
    ("start", "way"),
    [("plainly", "plainly"), ("a thread decodes", "a thread"), ("`DataLoader(num", "a worker"),
     ("decoding alone", "decoding alone"), ("training alone", "training alone")],
)  # fmt: skip
def test_what_a_thread_gives(start: str, way: str) -> None:
    median, least, most = results("prefetch")["seconds: median, least, most"][way]
    assert cells_of(start) == [f"{median:.1f} ({least:.1f} to {most:.1f})"]


@pytest.mark.parametrize(
    ("start", "reader"),
    [("`DRRDataset`", "DRRDataset"), ("the same, `cache_bytes=0`", "DRRDataset, cache_bytes=0"),
     ("`ImageFolder`, PNG", "ImageFolder, png"), ("`ImageFolder`, JPEG", "ImageFolder, jpg"),
     ("WebDataset, JPEG", "WebDataset, jpg"), ("LitData, raw", "LitData, raw"),
     ("MosaicML Streaming, raw", "MosaicML, raw")],
)  # fmt: skip
def test_what_readers_give(start: str, reader: str) -> None:
    found = results("readers")
    figures = found["median, least, most"][f"{reader}; 0 workers"]
    first, second = (figures[f"{which} epoch, images/CPU s"] for which in ("first", "second"))
    shown = [
        f"{found['bytes'][reader] / 2500:,.0f}",
        f"{figures['import, s'][0]:.0f}",
        f"{figures['first batch, s'][0]:.1f}",
        *(f"{one[0]:,.0f} ({one[1]:,.0f} to {one[2]:,.0f})" for one in (first, second)),
    ]
    assert cells_of(start)[: len(shown)] == shown
