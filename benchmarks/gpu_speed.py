"""Images a second on a GPU: the codec beside the same codec on the CPU, and training.

    python benchmarks/gpu_speed.py mem.drr -o benchmarks/results/NAME.json

The codec: 100 images of each of the last 20 classes are decoded from their streams, and encoded
anew from their reconstructions, on both devices in the same run. Training: ResNet-18s of several
widths train on random images, alone and several processes at a time, because one process may not
fill a GPU. Without a GPU both halves run on the CPU, which shows that the script works.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_by import made_by

from drrpack.core.codec import Codec
from drrpack.core.codes import Codes
from drrpack.core.device import wait_for
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec, read_codes
from drrpack.trainers.learning.network import new_network
from drrpack.trainers.learning.recipes import get_recipe
from drrpack.trainers.learning.resnet import ResNet18
from drrpack.trainers.learning.training import train_network

CLASSES, IMAGES, BATCH = 20, 100, 256
WIDTHS, PROCESSES = (32, 64), (1, 4, 8)
SECONDS = 3.0  # of each pace of training
READY = 20.0  # in which a process has started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--child", nargs=2, type=float, help="(number, time to begin at)")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if given.child is not None:
        print(json.dumps(_child(int(given.child[0]), given.child[1], device)))
        return
    found: dict[str, Any] = {"training, images a second": _training(given.memory)}
    devices = dict.fromkeys((torch.device("cpu"), device))
    found["codec, images a second"] = {
        each.type: _codec_speeds(given.memory, each) for each in devices
    }
    found["device"] = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    found.update(made_by())
    print(json.dumps(found, indent=1))
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=1) + "\n")


def _codec_speeds(path: Path, device: torch.device) -> dict[str, float]:
    with Reader(path) as reader:
        codec = load_codec(reader, device)
        last = range(len(reader.classes) - CLASSES, len(reader.classes))
        codes = [c.take(slice(IMAGES)) for c in read_codes(reader, codec, last).values()]
        size = reader.image_size
    together = Codes.concat(codes)
    pixels = codec.decode(together, size)
    streams = codec.compress(codes)
    stages: dict[str, Callable[[], object]] = {
        "images to codes": lambda: codec.encode(pixels),
        "codes to streams": lambda: codec.compress(codes),
        "streams to codes": lambda: codec.decompress(streams, codes[0].top.shape[1:]),
        "codes to pixels": lambda: codec.decode(together, size),
    }
    return {name: len(pixels) / _seconds(codec, stage) for name, stage in stages.items()}


def _seconds(codec: Codec, stage: Callable[[], object]) -> float:
    """The faster of two times; the stage has run before, so that algorithms have been chosen."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        stage()
        wait_for(codec.device)
        times.append(time.perf_counter() - start)
    return min(times)


def _training(memory: Path) -> list[dict[str, float]]:
    """All paces: processes that start once, of which more and more train at a time."""
    begin = time.time() + READY
    command = [sys.executable, __file__, str(memory), "--child"]
    children = [
        subprocess.Popen([*command, str(number), str(begin)], stdout=subprocess.PIPE)
        for number in range(max(PROCESSES))
    ]
    counts = [json.loads(child.communicate()[0] or b"[]") for child in children]
    return [
        {"width": width, "processes": together, "images": sum(c[place] for c in counts if c)}
        for place, (width, together) in enumerate(_paces())
    ]


def _paces() -> list[tuple[int, int]]:
    return [(width, together) for width in WIDTHS for together in PROCESSES]


def _child(number: int, begin: float, device: torch.device) -> list[float]:
    """Images a second of one process at each pace; 0 where it stands aside."""
    chance = np.random.default_rng(0)
    images = torch.from_numpy(chance.integers(256, size=(8 * BATCH, 32, 32, 3), dtype=np.uint8))
    labels = torch.from_numpy(chance.integers(100, size=len(images)))

    def train(width: int) -> None:
        network = new_network(lambda: ResNet18(100, width), 0)
        recipe = get_recipe("fast", 5, width)
        train_network(network, images, labels, seen=100, recipe=recipe, seed=0, device=device)
        wait_for(device)

    for width in WIDTHS:
        train(width)
    found = []
    for width, together in _paces():
        time.sleep(max(0.0, begin - time.time()))
        start, count = time.time(), 0
        begin += SECONDS
        while number < together and time.time() < begin:
            train(width)
            count += 5 * len(images)
        found.append(count / (time.time() - start) if count else 0.0)
    return found


if __name__ == "__main__":
    main()
