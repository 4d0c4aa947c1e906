"""Does it pay to decode the next batches in a thread while a network trains? Seconds of an epoch.

    python benchmarks/prefetch.py mem.drr -o benchmarks/results/prefetch.json

Epochs take `BATCHES` batches of 128 images, whose codes are in memory and whose pixels are decoded
anew, and train a small ResNet. They are read "plainly"; by "a thread" that decodes two batches
ahead; and by "a worker", ``DataLoader(num_workers=1)``. The three take turns, `REPEATS` times.
"decoding alone" and "training alone" are the two halves: a thread can save the smaller one at most.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from made_by import made_by
from torch.utils.data import DataLoader, RandomSampler

from drrpack import DRRDataset
from drrpack.trainers.learning.resnet import get_network

BATCHES, BATCH, REPEATS, WIDTH = 12, 128, 5, 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    memory = DRRDataset(given.memory, cache_bytes=0).preload()
    train = trainer(len(memory.classes))
    sampler = RandomSampler(memory, num_samples=BATCHES * BATCH)
    plain = DataLoader(memory, BATCH, sampler=sampler)
    worker = DataLoader(memory, BATCH, sampler=sampler, num_workers=1)
    fixed = next(iter(plain))
    ways: dict[str, Callable[[], object]] = {
        "plainly": lambda: [train(*batch) for batch in plain],
        "a thread": lambda: [train(*batch) for batch in prefetched(plain)],
        "a worker": lambda: [train(*batch) for batch in worker],
        "decoding alone": lambda: [None for _ in plain],
        "training alone": lambda: [train(*fixed) for _ in range(BATCHES)],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, epoch in ways.items():
            start = time.perf_counter()
            epoch()
            times[name].append(time.perf_counter() - start)
    found = {
        name: [round(pick(seconds), 2) for pick in (median, min, max)]
        for name, seconds in times.items()
    }
    text = {"seconds: median, least, most": found, "load": os.getloadavg()[0], **made_by()}
    given.output.write_text(json.dumps(text, indent=1) + "\n")
    print(json.dumps(text, indent=1))


def trainer(classes: int) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """A function that takes one step of training."""
    network = get_network("resnet18")(classes, WIDTH)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        loss = torch.nn.functional.cross_entropy(network(images.float() / 255), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def prefetched(loader: Iterable[Any], batches: int = 2) -> Iterator[Any]:
    """The batches of a loader, of which a thread decodes some ahead."""
    ahead: queue.Queue[Any] = queue.Queue(batches)
    end = object()

    def decode() -> None:
        for batch in loader:
            ahead.put(batch)
        ahead.put(end)

    threading.Thread(target=decode, daemon=True).start()
    while (batch := ahead.get()) is not end:
        yield batch


if __name__ == "__main__":
    main()
