"""The peak memory and the time of making and reading memories of 1, 4 and 16 times the images.

    python benchmarks/bounded_writing.py FOLDER -o benchmarks/results/bounded-writing.json

FOLDER is an image folder of classes; its files are linked under the names of further classes. For
each size processes run one after the other: `encode`, `verify --full`, `export` to ``.npz``, an
epoch of a `DataLoader` in the order of a `ChunkSampler`, `append` of the folder's classes under new
names (its entropy model stays as it is), and `merge` with a file of other classes. The peak of a
process is what the system tells (``ru_maxrss`` of `os.wait4`). Time is linear where CPU seconds for
each further image are the same between 1 and 4 times as many images as between 4 and 16.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from child import measured
from made_by import made_by

TIMES = (1, 4, 16)
READING = Path(__file__).with_name("bounded_reading.py")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, nargs="+", default=TIMES)
    parser.add_argument("--codec", type=Path, help="of this file, not the one that comes along")
    parser.add_argument("--encode-alone", action="store_true", help="the others stay in the output")
    parser.add_argument("--reading", action="store_true", help="encode, verify and export alone")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    codec = [] if given.codec is None else ["--codec", given.codec]
    found: dict[str, Any] = (
        json.loads(given.output.read_text())["times"] if given.encode_alone else {}
    )
    with tempfile.TemporaryDirectory(dir=given.output.parent) as place:
        for times in given.times:
            here = Path(place) / str(times)
            if given.encode_alone:
                repeat(given.folder, here / "all", endings(times))
                row = drrpack("encode", here / "all", "-o", here / "all.drr", *codec)
                found[str(times)]["encode"] = row
            else:
                found[str(times)] = measure(given.folder, here, times, codec, given.reading)
            rows = {"times": found, "peak, largest over smallest": growth(found)}
            rows["CPU seconds for a thousand further images"] = slopes(found)
            given.output.write_text(json.dumps({**rows, **made_by()}, indent=1) + "\n")
            shutil.rmtree(here)
    print(given.output.read_text())


def measure(
    source: Path, place: Path, times: int, codec: list[str | Path], reading: bool
) -> dict[str, Any]:
    """The figures of one size."""
    images = repeat(source, place / "all", endings(times))
    repeat(source, place / "new", ["-new"])
    repeat(source, place / "other", ["-other"])
    memory, other, arrays = place / "all.drr", place / "other.drr", place / "all.npz"
    rows = {"images": images, "encode": drrpack("encode", place / "all", "-o", memory, *codec)}
    rows["verify --full"] = drrpack("verify", memory, "--full")
    rows["export to .npz"] = drrpack("export", memory, arrays)
    arrays.unlink()
    if reading:
        return rows
    rows["epoch"] = measured(READING, memory, "--task", "epoch", quiet=True)
    drrpack("encode", place / "other", "-o", other, *codec)
    rows["append"] = drrpack("append", memory, place / "new", "--keep-entropy-model")
    rows["merge"] = drrpack("merge", memory, other, "-o", place / "both.drr")
    return rows


def endings(times: int) -> list[str]:
    return [f"-{n:04}" for n in range(times)]


def repeat(source: Path, output: Path, endings: list[str]) -> int:
    """Link the files of each class into a class for each ending; returns how many there are."""
    count = 0
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        for ending in endings:
            (output / f"{folder.name}{ending}").mkdir(parents=True)
            for file in folder.iterdir():
                os.link(os.path.realpath(file), output / f"{folder.name}{ending}" / file.name)
                count += 1
    return count


def drrpack(*arguments: str | Path) -> dict[str, float]:
    return measured("-m", "drrpack", *arguments, quiet=True)


def growth(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The largest peak of each task over its smallest."""
    peaks = {task: [rows[task]["peak_mb"] for rows in found.values()] for task in tasks(found)}
    return {task: round(max(of_task) / min(of_task), 3) for task, of_task in peaks.items()}


def slopes(found: dict[str, dict[str, Any]]) -> dict[str, list[float]]:
    """For each task the CPU seconds of a thousand further images, between each two sizes."""
    rows = [*found.values()]
    return {
        task: [
            round(
                1000 * (more[task]["cpu_seconds"] - less[task]["cpu_seconds"])
                / (more["images"] - less["images"]), 3
            )
            for less, more in pairwise(rows)
        ]
        for task in tasks(found)
    }  # fmt: skip


def tasks(found: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name in next(iter(found.values())) if name != "images"]


if __name__ == "__main__":
    main()
