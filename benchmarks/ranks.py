"""`drrpack encode` by one, two and four processes: the same file, and what each of them takes.

    python benchmarks/ranks.py FOLDER -o benchmarks/results/ranks.json

FOLDER is an image folder, which is divided into parts of 600 images of 32x32, smaller ones than by
default, so that a few thousand images make some for each. One process encodes it, then two and
four that torchrun starts, which talk by gloo. Then one of four is killed after some parts, and four
go on. Where fewer cores are free than there are processes the clock says nothing, and CPU seconds
count: a run of several takes at least those of its busiest process. Peaks are those that each
process tells of itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RANKS = (1, 2, 4)
PART_IMAGES = 600  # of 32x32


def main() -> None:
    if "FIGURES_OF_RANKS" in os.environ:
        as_a_rank(Path(os.environ["FIGURES_OF_RANKS"]))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    from made_by import made_by

    found: dict[str, Any] = {"ranks": {}}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for count in RANKS:
            found["ranks"][count] = measured(given.folder, place / f"{count}.drr", count)
            save(given.output, {**found, **made_by()})
        found["killed"] = killed(given.folder, place / "killed.drr", RANKS[-1])
        found["equal files"] = len({digest(path) for path in place.glob("*.drr")}) == 1
    save(given.output, {**found, **made_by()})
    print(given.output.read_text())


def save(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1) + "\n")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def started(folder: Path, output: Path, count: int) -> subprocess.Popen[bytes]:
    """The command by so many processes; each leaves its figures beside ``output``."""
    figures = output.with_suffix(".figures")
    figures.mkdir(exist_ok=True)
    torchrun = ["-m", "torch.distributed.run", f"--nproc-per-node={count}"] if count > 1 else []
    command = [sys.executable, *torchrun, __file__, "encode", str(folder), "-o", str(output)]
    environment = {**os.environ, "FIGURES_OF_RANKS": str(figures), "OMP_NUM_THREADS": "1"}
    with open(output.with_suffix(".log"), "wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def measured(folder: Path, output: Path, count: int) -> dict[str, Any]:
    start = time.monotonic()
    run = started(folder, output, count)
    if run.wait() != 0:
        raise SystemExit(output.with_suffix(".log").read_text())
    return {"seconds": round(time.monotonic() - start, 1), "each": figures_of(output)}


def figures_of(output: Path) -> list[dict[str, float]]:
    """What each process has told, the first one first."""
    paths = sorted(output.with_suffix(".figures").iterdir())
    return [json.loads(path.read_text()) for path in paths]


def killed(folder: Path, output: Path, count: int) -> dict[str, Any]:
    """One process is killed once there are some parts; then the same number go on."""
    parts = output.parent / f".{output.name}.parts"
    run = started(folder, output, count)
    while len(list(parts.glob("codes-*"))) < count and run.poll() is None:
        time.sleep(0.05)
    ranks = subprocess.run(
        ["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True
    )
    os.kill(int(ranks.stdout.split()[-1]), signal.SIGKILL)
    if run.wait() == 0 or output.exists():
        raise SystemExit("nothing was killed")
    there = {path.name: path.stat().st_mtime_ns for path in parts.glob("codes-*")}
    again = measured(folder, output, count)
    said = output.with_suffix(".log").read_text()
    return {"parts before": len(there), "said": notices(said), "again": again}


def notices(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if "by an earlier run" in line]


# --- what each process does -----------------------------------------------------------------------


def as_a_rank(figures: Path) -> None:
    """The command, and in the end the CPU seconds and the peak of this process."""
    from drrpack.cli.main import main as command
    from drrpack.operations.encoding import pieces

    pieces.PART_PIXELS = PART_IMAGES * 32 * 32
    try:
        command()
    finally:
        tell(figures / os.environ.get("RANK", "0"))


def tell(path: Path) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6, 1),
    }
    path.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
