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
            found["images"][images] = peaks(path)
            print(json.dumps({images: found["images"][images]}, indent=1), flush=True)
            path.unlink()
    from made_by import made_by

    found["growth beyond the import, MB"] = growth(found["images"], beyond="import")
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


def peaks(path: Path) -> dict[str, dict[str, float]]:
    """The peak of a process for each task in megabytes, and its CPU seconds. They run together."""
    children = {task: spawn(task, path) for task in TASKS}
    found = {}
    for task, child in children.items():
        _, status, used = os.wait4(child, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"{task} failed")
        found[task] = {
            "peak_mb": round(used.ru_maxrss * 1024 / 1e6, 1),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        }
    return found


def spawn(task: str, path: Path) -> int:
    """Start this script for one task; the number of the process."""
    command = [sys.executable, __file__, str(path), "--task", task]
    return os.posix_spawn(sys.executable, command, os.environ)


def growth(
    found: dict[int, dict[str, dict[str, float]]], beyond: str | None = None
) -> dict[str, float]:
    """The largest peak of each task over its smallest; or the difference of what is ``beyond``
    another task, in megabytes."""
    out = {}
    for task in TASKS:
        less = [sizes[beyond]["peak_mb"] if beyond else 0 for sizes in found.values()]
        of_task = [
            sizes[task]["peak_mb"] - base for sizes, base in zip(found.values(), less, strict=True)
        ]
        change = max(of_task) - min(of_task) if beyond else max(of_task) / min(of_task)
        out[task] = round(change, 3)
    return out


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
