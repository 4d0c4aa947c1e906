"""Programs that tests run as child processes: to be killed, to hit limits, or lest they crash."""

from __future__ import annotations

import collections
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from drr_files import LARGE, SMALL, outcome_of
from mutants import HANG_SECONDS, limit_memory, mutant, of_number, outcome, seedlings

from drrpack.core.errors import OutputError
from drrpack.formats.container import write


def start_child(*arguments: str | Path) -> subprocess.Popen[str]:
    """Run this file as a program of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def run_child(*arguments: str | Path, timeout: float = 100) -> tuple[int, str, str]:
    """Exit status, output and errors; a crash or a hang of libhdf5 fails one test alone."""
    with start_child(*arguments) as child:
        try:
            output, errors = child.communicate(timeout=timeout)
        finally:
            child.kill()
    return child.returncode, output, errors


def child_flip(path: Path, step: str) -> None:
    """Flip one bit of every ``step``th byte; print how often each outcome came up."""
    image, outcomes = path.read_bytes(), {"error": 0, "same": 0, "wrong": 0}
    with open(path, "r+b", buffering=0) as file:
        for position in range(0, len(image), int(step)):
            byte = image[position]
            os.pwrite(file.fileno(), bytes([byte ^ 1 << position * 5 % 8]), position)
            outcomes[outcome_of(path)] += 1
            os.pwrite(file.fileno(), bytes([byte]), position)
    print(outcomes["error"], outcomes["same"], outcomes["wrong"])


def child_kill_itself(path: Path, function: str) -> None:
    """Overwrite ``path``, and die by SIGKILL where the writer calls ``os.<function>``."""
    setattr(os, function, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    write(path, LARGE, overwrite=True)


def child_write_for_ever(path: Path) -> None:
    print("started", flush=True)
    while True:
        write(path, LARGE, overwrite=True)
        write(path, SMALL, overwrite=True)


def child_hit_size_limit(path: Path) -> None:
    """Write where files may not grow beyond 100 kB, so the write itself fails half-way."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        write(path, LARGE, overwrite=True)
    except OutputError as error:
        print(error)


def child_fuzz(path: Path, place: str, count: str) -> None:
    """Go through mutants under limits on memory and time; print how often each outcome came up."""
    torch.set_num_threads(1)
    seeds, outcomes = seedlings(Path(place).parent), collections.Counter[str]()
    limit_memory(path)
    for number in range(int(count)):
        Path(place).write_bytes(mutant(seeds, 0, number))
        signal.alarm(HANG_SECONDS)
        outcomes[outcome(Path(place), of_number(seeds, number))] += 1
    signal.alarm(0)
    print(*(f"{name} {times}" for name, times in outcomes.items()))


CHILDREN: dict[str, Callable[..., None]] = {
    "flip": child_flip,
    "fuzz": child_fuzz,
    "kill": child_kill_itself,
    "forever": child_write_for_ever,
    "limit": child_hit_size_limit,
}

if __name__ == "__main__":
    CHILDREN[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
