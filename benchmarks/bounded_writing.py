"""The peak memory and the time of writing memories of 1, 4 and 16 times as many images.

    python benchmarks/bounded_writing.py FOLDER -o benchmarks/results/bounded-writing.json

FOLDER is an image folder of classes; its files are linked under the names of further classes. For
each size three processes run one after the other: `encode`, `append` of the folder's classes under
new names (its entropy model stays as it is), and `merge` with a file of other classes. The peak of
a process is what the system tells (``ru_maxrss`` of `os.wait4`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from made_by import made_by

TIMES = (1, 4, 16)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, nargs="+", default=TIMES)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=given.folder.parent) as place:
        for times in given.times:
            found[str(times)] = measure(given.folder, Path(place) / str(times), times)
            rows = {"times": found, "peak, largest over smallest": growth(found), **made_by()}
            given.output.write_text(json.dumps(rows, indent=1) + "\n")
    print(given.output.read_text())


def measure(source: Path, place: Path, times: int) -> dict[str, Any]:
    """The figures of one size; nothing of it stays."""
    images = repeat(source, place / "all", [f"-{n:04}" for n in range(times)])
    repeat(source, place / "new", ["-new"])
    repeat(source, place / "other", ["-other"])
    memory, other = place / "all.drr", place / "other.drr"
    rows = {"images": images, "encode": command("encode", place / "all", "-o", memory)}
    command("encode", place / "other", "-o", other)
    rows["append"] = command("append", memory, place / "new", "--keep-entropy-model")
    rows["merge"] = command("merge", memory, other, "-o", place / "both.drr")
    for path in (memory, other, place / "both.drr"):
        path.unlink()
    return rows


def repeat(source: Path, output: Path, endings: list[str]) -> int:
    """Link the files of each class into a class for each ending; returns how many there are."""
    count = 0
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        for ending in endings:
            (output / f"{folder.name}{ending}").mkdir(parents=True)
            for file in folder.iterdir():
                os.link(file, output / f"{folder.name}{ending}" / file.name)
                count += 1
    return count


def command(*arguments: str | Path) -> dict[str, float]:
    """Run ``drrpack``; its peak in megabytes, and its seconds by the clock and of the CPU."""
    start = time.monotonic()
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "drrpack", *map(str, arguments)],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"drrpack {' '.join(map(str, arguments))} failed")
    return {
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6, 1),
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
    }


def growth(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The largest peak of each command over its smallest."""
    peaks = {
        task: [rows[task]["peak_mb"] for rows in found.values()]
        for task in ("encode", "append", "merge")
    }
    return {task: round(max(of_task) / min(of_task), 3) for task, of_task in peaks.items()}


if __name__ == "__main__":
    main()
