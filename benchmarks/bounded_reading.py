"""The peak memory of processes that read memories of 1, 4 and 16 times as many images.

    python benchmarks/bounded_reading.py mem.drr -o benchmarks/results/bounded-reading.json

The classes of the file are repeated under other names. Each task runs in its own process, whose
peak the system tells (``ru_maxrss`` of `os.wait4`). What a task takes beyond importing drrpack and
torch shows beside the task "import". "epoch" reads through a `DataLoader` in the order of a
`ChunkSampler`, with bounds of 1 MiB for codes and for pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

TIMES = (1, 4, 16)
BOUND_BYTES = 1 << 20
BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--task", choices=TASKS, help="what a child process does")
    given = parser.parse_args()
    if given.task is not None:
        TASKS[given.task](given.memory)
        return
    found: dict[str, Any] = {"bound, bytes of codes and of pixels": BOUND_BYTES, "images": {}}
    with tempfile.TemporaryDirectory() as folder:
        for times in TIMES:
            path = Path(folder) / f"{times}.drr"
            images = repeat(given.memory, path, times)
            found["images"][images] = {task: peak(task, path) for task in TASKS}
            print(json.dumps({images: found["images"][images]}, indent=1), flush=True)
            path.unlink()
    from made_by import made_by

    text = json.dumps({**found, "growth": growth(found["images"]), **made_by()}, indent=1)
    print(text)
    if given.output is not None:
        given.output.write_text(text + "\n")


def repeat(path: Path, output: Path, times: int) -> int:
    """Write the classes of a file several times, under other names; returns how many images."""
    from drrpack.formats.container import Reader, write

    with Reader(path) as reader:
        content = reader.memory()
    count = len(content.classes)
    chunks = [
        replace(chunk, class_index=chunk.class_index + n * count)
        for n in range(times)
        for chunk in content.chunks
    ]
    names = [f"{name} {n}" for n in range(times) for name in content.classes]
    write(output, replace(content, classes=names, chunks=chunks, raw=[]))
    return sum(chunk.images for chunk in chunks)


def peak(task: str, path: Path) -> dict[str, float]:
    """The peak of a child process in megabytes, and its seconds on the clock and on the CPU."""
    start = time.perf_counter()
    command = [sys.executable, __file__, str(path), "--task", task]
    child = os.posix_spawn(sys.executable, command, os.environ)
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{task} failed")
    return {
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6, 1),
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
    }


def growth(found: dict[int, dict[str, dict[str, float]]]) -> dict[str, float]:
    """The largest peak of each task over its smallest."""
    peaks = {task: [sizes[task]["peak_mb"] for sizes in found.values()] for task in TASKS}
    return {task: round(max(of_task) / min(of_task), 3) for task, of_task in peaks.items()}


# --- what the children do: drrpack is imported in them alone ---


def _import(path: Path) -> None:
    import drrpack.formats.dataset  # noqa: F401


def _stats(path: Path) -> None:
    import drrpack

    drrpack.stats(path)


def _verify(path: Path) -> None:
    import drrpack

    drrpack.verify(path, "full")


def _export(path: Path) -> None:
    import drrpack

    output = path.with_suffix(".npz")
    drrpack.export(path, output, device="cpu")
    output.unlink()


def _epoch(path: Path) -> None:
    from torch.utils.data import DataLoader

    import drrpack

    memory = drrpack.DRRDataset(path, cache_bytes=BOUND_BYTES, codes_bytes=BOUND_BYTES)
    sampler = drrpack.ChunkSampler(memory, seed=0)
    count = sum(len(images) for images, _ in DataLoader(memory, BATCH, sampler=sampler))
    assert count == len(memory)


TASKS: dict[str, Callable[[Path], None]] = {
    "import": _import,
    "stats": _stats,
    "verify --full": _verify,
    "export to .npz": _export,
    "epoch": _epoch,
}

if __name__ == "__main__":
    main()
