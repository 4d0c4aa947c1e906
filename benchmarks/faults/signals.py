"""SIGINT and SIGTERM in the first seconds of every command: 130, nothing written, nothing survives.

    python benchmarks/faults/signals.py --signals 200 -o benchmarks/results/faults-signals.json

Each command runs as a process of its own, on fresh copies of small files, and gets one signal, half
of them SIGINT, at a moment drawn from its first two seconds or from its whole length if that is
less. A signal before the command has taken its signals over, while the interpreter starts, has its
default effect, and is counted apart. A command may be faster than its signal: then it ends with 0
and what it makes is there, whole. Python loses a SIGINT that comes while it runs a callback of its
own, before the command has begun; it says so, and that is counted apart. `train` leaves the
settings of a run that has not begun, which the same command begins anew.
"""

from __future__ import annotations

import collections
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from workbench import ROOT, Bench, make_bench, parser, report

SECONDS = 2.0  # in which a signal comes, from the start of the process on
PATIENCE_SECONDS = 60.0  # for a process that has got its signal
AT_ONCE_SECONDS = 0.5  # in which a process ends that was about to
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHORT_RUN = ("--epochs", "1", "--width", "2", "--no-ceiling")


def commands(bench: Bench, run: Path) -> dict[str, tuple[str | Path, ...]]:
    """Arguments of every command, in a folder with ``mem.drr`` and ``other.drr``."""
    first, third = bench.folders["first"], bench.folders["third"]
    test = ("--test", bench.place / "digits" / "test")
    return {
        "encode": (third, "-o", "new.drr", "--codec", bench.codec),
        "stats": ("mem.drr",),
        "preview": ("mem.drr", "-o", "grid.png", "--source", first),
        "compare": (first, "--codec", bench.codec, "--chart", "chart.png"),
        "train": ("mem.drr", "--out", "run", "--phases", "2", *test, "--source", first),
        "report": (run, "-o", "report.html", "--memory", "mem.drr"),
        "append": ("mem.drr", third, "--epochs", "1"),
        "drop": ("mem.drr", "1", "2"),
        "merge": ("mem.drr", "other.drr", "-o", "new.drr"),
        "verify": ("mem.drr", "--full"),
        "export": ("mem.drr", "images"),
        "doctor": (),
    }


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--signals", type=int, default=200, help="of each command")
    arguments.add_argument("--only", nargs="*", help="some commands alone")
    given = arguments.parse_args()
    chance = random.Random(given.seed)
    # a shell starts what goes into the background with SIGINT ignored, which children would inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        bench = make_bench(place / "bench")
        every = commands(bench, _finished_run(bench, place))
        found = {}
        for name in given.only or every:
            command = (name, *every[name])
            length = _undisturbed(bench, place / "whole", command)
            outcomes: collections.Counter[str] = collections.Counter()
            for count in range(given.signals):
                moment = chance.uniform(0, min(SECONDS, length))
                outcome = _signalled(bench, place / "run", command, SIGNALS[count % 2], moment)
                outcomes[outcome] += 1
            found[name] = {"seconds": round(length, 2), "outcomes": dict(sorted(outcomes.items()))}
            print(name, found[name], file=sys.stderr)
    report({"signals_each": given.signals, "within_seconds": SECONDS, "commands": found},
           given.output)  # fmt: skip


def _finished_run(bench: Bench, place: Path) -> Path:
    """The folder of a `drrpack train`, for `drrpack report`."""
    bench.copies(place / "trained")
    run = place / "trained" / "run"
    train = commands(bench, run)["train"]
    child = _start(("train", *train, *SHORT_RUN), place / "trained")
    _, errors = child.communicate()
    assert child.returncode == 0, errors
    return run


def _undisturbed(bench: Bench, place: Path, command: Sequence[str | Path]) -> float:
    """How long a command takes, in seconds; no longer than is of interest."""
    bench.copies(place)
    start = time.monotonic()
    child = _start(command, place)
    try:
        _, errors = child.communicate(timeout=2 * SECONDS)
        assert child.returncode == 0, errors
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
    shutil.rmtree(place)
    return time.monotonic() - start


def _signalled(
    bench: Bench, place: Path, command: Sequence[str | Path], number: signal.Signals, moment: float
) -> str:
    """Run a command, send it a signal, and say what came of it; a bad end has its words in it."""
    bench.copies(place)
    before = _content(place)
    start = time.monotonic()
    child = _start(command, place)
    time.sleep(max(0.0, moment - (time.monotonic() - start)))
    if child.poll() is not None:
        child.communicate()
        shutil.rmtree(place, ignore_errors=True)
        return "finished before its signal"
    taken_over = _catches(child.pid, signal.SIGTERM)
    child.send_signal(number)
    sent = time.monotonic()
    try:
        _, errors = child.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return f"{number.name}: SURVIVED"
    finally:
        changed = _content(place) != before
        shutil.rmtree(place, ignore_errors=True)
    if child.returncode == 0:
        at_once = "interrupted, after" in errors or time.monotonic() - sent < AT_ONCE_SECONDS
        by_python = "Exception ignored in" in errors  # as in a callback of importlib's locks
        what = "0, " + (
            "finished by then" if at_once else "lost by Python" if by_python else "WENT ON"
        )
    else:
        what = f"{child.returncode}, {'CHANGED' if changed else 'nothing written'}"
        what += ", TRACEBACK" if "Traceback" in errors else ""
    return f"{number.name}: {what}" + ("" if taken_over else ", while the interpreter started")


def _start(command: Sequence[str | Path], place: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "drrpack", *map(str, command)],
        cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal, as Linux tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    masks = dict(line.split(":", 1) for line in status.splitlines())
    return "SigCgt" not in masks or bool(int(masks["SigCgt"], 16) >> (number - 1) & 1)


def _content(place: Path) -> dict[str, str]:
    """The digest of every file; of a run that has not begun its settings don't count."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path != place / "run" / "settings.json"
    }


if __name__ == "__main__":
    main()
