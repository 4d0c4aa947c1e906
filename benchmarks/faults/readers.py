"""Eight readers, by threads, fork and spawn, while another process appends and drops 50 times.

    python benchmarks/faults/readers.py -o benchmarks/results/faults-readers.json

Each reader opens the file again and again, decodes a class of its choice and compares the codes
with those that the class has in every version of the file. A version without the class is fine, and
so is being told, after a fork, that the file has been replaced; anything else is a fault.
"""

from __future__ import annotations

import collections
import multiprocessing
import random
import tempfile
import threading
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import torch
from workbench import CHANGES, Bench, make_bench, parser, report

from drrpack.core.errors import FormatError
from drrpack.formats.container import Reader, write
from drrpack.formats.memory import load_codec, read_codes
from drrpack.operations.edit import drop

CPU = torch.device("cpu")
READERS = {"thread": 3, "fork": 3, "spawn": 2}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--appends", type=int, default=50)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = make_bench(Path(folder) / "bench")
        place = Path(folder) / "here"
        bench.copies(place)
        path = place / "mem.drr"
        expected = {**_digests(bench.codec), **_all_classes(bench, Path(folder) / "once")}
        fork, spawn = (multiprocessing.get_context(name) for name in ("fork", "spawn"))
        queue, stop = spawn.Queue(), spawn.Event()
        shared = Reader(path)  # what forked readers inherit open
        workers: list[Any] = []
        for kind, count in READERS.items():
            for number in range(count):
                details = (path, expected, f"{kind} {number}", stop, queue)
                if kind == "thread":
                    workers.append(threading.Thread(target=read, args=details))
                elif kind == "fork":
                    workers.append(fork.Process(target=read, args=(*details, shared)))
                else:
                    workers.append(spawn.Process(target=read, args=details))
        for worker in [w for w in workers if not isinstance(w, threading.Thread)]:
            worker.start()  # forks come before threads
        for worker in [w for w in workers if isinstance(w, threading.Thread)]:
            worker.start()
        time.sleep(5)  # until spawned ones have imported torch
        writer = fork.Process(target=change, args=(bench, place, given.appends))
        writer.start()
        writer.join()
        stop.set()
        counts = [queue.get() for _ in workers]
        for worker in workers:
            worker.join()
        assert writer.exitcode == 0, "the writer failed"
        faults = [fault for found in counts for fault in found.pop("faults")]
        report(
            {
                "appends": given.appends,
                "readers": READERS,
                "faults": faults,
                "outcomes": {found.pop("name"): found for found in counts},
            },
            given.output,
        )


def _digests(path: Path) -> dict[str, int]:
    """The digest of each class's codes, all of which a file may hold or not."""
    with Reader(path) as reader:
        codes = read_codes(reader, load_codec(reader, CPU), range(len(reader.classes)))
        return {name: codes[number].digest for number, name in enumerate(reader.classes)}


def _all_classes(bench: Bench, place: Path) -> dict[str, int]:
    bench.copies(place)
    CHANGES["append"][1](bench, place)
    return _digests(place / "mem.drr")


def change(bench: Bench, place: Path, appends: int) -> None:
    path = place / "mem.drr"
    for _ in range(appends):
        CHANGES["append"][1](bench, place)
        with Reader(path) as reader:
            content = reader.memory()
        write(path, drop(path, content, ["6", "7"]), overwrite=True)


def read(
    path: Path,
    expected: dict[str, int],
    name: str,
    stop: Any,
    queue: Queue[Any],
    shared: Reader | None = None,
) -> None:
    torch.set_num_threads(1)
    chance, counts, faults = random.Random(name), collections.Counter[str](), []
    while not stop.is_set():
        wanted = chance.choice("0123" + "67")
        try:
            reader = shared if shared is not None and chance.random() < 0.2 else Reader(path)
            if wanted not in reader.classes:
                counts["without the class"] += 1
                continue
            number = reader.classes.index(wanted)
            codes = read_codes(reader, load_codec(reader, CPU), [number])[number]
            if codes.digest == expected[wanted]:
                counts["right"] += 1
            else:
                faults.append(f"{name}: wrong codes of {wanted}")
        except FormatError as error:
            if "another file than the one that was opened" in str(error):
                counts["told that it was replaced"] += 1
            else:
                faults.append(f"{name}: {error}")
        except Exception as error:
            faults.append(f"{name}: {error!r}")
    queue.put({"name": name, "faults": faults, **counts})


if __name__ == "__main__":
    main()
