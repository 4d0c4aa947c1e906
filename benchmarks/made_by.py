"""What made a figure: the versions and the machine, which every JSON of results carries."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from drrpack.trainers.comparison import peers
from drrpack.trainers.versions import versions


def made_by() -> dict[str, Any]:
    """Versions, of the image libraries too, and cores, threads, memory and model of the machine."""
    return {
        "versions": {**versions(), **peers.libraries()},
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": platform.platform(),
        },
    }


def _cpu() -> str:
    """The model by its name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
