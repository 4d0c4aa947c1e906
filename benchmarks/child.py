"""A child process and what it took, as the system tells."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def measured(*arguments: str | Path, quiet: bool = False) -> dict[str, float]:
    """Run Python; its peak in megabytes, and its seconds by the clock and of the CPU.

    CPU seconds are those of its own children as well; the peak is that of the largest of them.
    ``quiet`` drops what it prints.
    """
    start = time.monotonic()
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    child = os.posix_spawn(
        sys.executable, [sys.executable, *map(str, arguments)], os.environ,
        file_actions=[nowhere] if quiet else [],
    )  # fmt: skip
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))} failed")
    return {
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6, 1),
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
    }
