"""The method that docs/training.md shows, in a file outside the tree, by real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "training.md"
OPTIONS = (
    "--no-ceiling", "--base", "2", "--phases", "2", "--classes", "0:6", "--width", "4",
    "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def digits_drr(context_drr: Path) -> Path:
    """By a codec of a few kilobytes, as nothing here is about the codec."""
    return context_drr


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder outside the tree with two methods, one of which uses what it did not declare."""
    if not DOCUMENT.is_file():
        pytest.skip("a checkout without docs")
    shown = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    (method,) = (text for text in shown if "class Newest(Method)" in text)
    asking = "context.replayed(context.new)"
    assert method.count(asking) == 1
    (tmp_path / "newest.py").write_text(method)
    (tmp_path / "peeking.py").write_text(method.replace(asking, "context.raw(context.new)"))
    return tmp_path


def command(memory: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "drrpack", "train", str(memory), *OPTIONS, *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "300"}


def train(place: Path, memory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(memory, *options), cwd=place, env=environment(), capture_output=True, text=True
    )


def result(out: Path) -> dict[str, object]:
    """A result less what differs from run to run."""
    found = json.loads((out / "result.json").read_text())
    phases = [{k: v for k, v in phase.items() if k != "seconds"} for phase in found["phases"]]
    return {k: v for k, v in found.items() if k != "wall_seconds"} | {"phases": phases}


def killed(place: Path, memory: Path, *options: str) -> None:
    """Start the same and end it by SIGKILL once the first phase is safe."""
    out = place / "cut"
    with subprocess.Popen(
        command(memory, *options, "--out", "cut"), cwd=place, env=environment(),
        stdout=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not list(out.glob("phases/*.pt")) and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it had ended before"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_runs_and_resumes(place: Path, digits_drr: Path) -> None:
    options = ("--method", "newest:Newest", "--set", "weight=4", "--epochs", "3")
    done = train(place, digits_drr, *options, "--out", "whole")
    assert done.returncode == 0, done.stderr
    whole = result(place / "whole")
    assert whole["method"] == "newest" and len(whole["phases"]) == 3  # type: ignore[arg-type]
    assert set(whole["phases"][-1]["loss_terms"]) == {"cross_entropy", "moved"}  # type: ignore[index]
    config = whole["config"]
    assert config["options"] == {"weight": 4.0}  # type: ignore[index]
    assert config["method_from"] == "newest:Newest"  # type: ignore[index]

    killed(place, digits_drr, *options)
    done = train(place, digits_drr, *options, "--out", "cut", "--resume")
    assert done.returncode == 0, done.stderr
    assert result(place / "cut") == whole
    other = (*options[:2], "--epochs", "3", "--out", "cut", "--resume")
    done = train(place, digits_drr, *other)
    assert done.returncode == 2
    assert "options.weight was 4.0 and is now 1.0" in done.stderr


def test_it_is_refused_where_it_uses_what_it_did_not_declare(place: Path, digits_drr: Path) -> None:
    options = ("--method", "peeking:Newest", "--epochs", "1", "--out", "run")
    done = train(place, digits_drr, *options)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "found needs = 'replayed', expected 'raw_new' or 'raw_seen'" in done.stderr
    assert not list((place / "run").glob("phases/*.pt"))


def test_a_module_that_there_is_not(place: Path, digits_drr: Path) -> None:
    done = train(place, digits_drr, "--method", "absent:Newest", "--out", "run")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--method absent:Newest: found no module 'absent'" in done.stderr
    assert not (place / "run").exists()
