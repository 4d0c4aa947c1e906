"""What opening a memory costs beyond reading its models, for 100 and for 1,000 classes.

    python benchmarks/opening.py benchmarks/results/tin100-codec.drr -o benchmarks/results/NAME.json

The models are those of the file given. Reading them is: their bytes from the file, and the networks
from the bytes. Opening is all that comes before the first class can be decoded.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from drrpack.codec import assemble
from drrpack.formats.container import Chunk, Reader, write
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.plainfile import PlainFile
from drrpack.trainers.results import versions
from drrpack.weights import unpack_bitswap, unpack_vqvae

REPEATS = 15
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    with Reader(given.memory) as reader:
        content = reader.memory()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (100, 1000):
            path = Path(folder) / f"{count}.drr"
            names = [f"n{number:08}" for number in range(count)]
            chunks = [Chunk(n, 500, bytes(7000), bytes(29000), 0) for n in range(count)]
            write(path, replace(content, classes=names, chunks=chunks))
            found[f"{count} classes"] = _measure(path)
    text = json.dumps({**found, "versions": versions()}, indent=1)
    print(text)
    given.output.write_text(text + "\n")


def _measure(path: Path) -> dict[str, float]:
    with Reader(path) as reader:
        structure = reader._opened()[1]
        places = [
            e for name, e in structure.extents.items() if name.endswith(("config", "weights"))
        ]
        vqvae, entropy = reader.vqvae, reader.entropy_model

    def models() -> None:
        file = PlainFile(path)
        for extent in places:
            file.read(extent.offset, extent.size)
        network, bits = unpack_vqvae(vqvae.config, vqvae.data)
        assemble(network, bits, *unpack_bitswap(entropy.config, entropy.data), CPU)

    def opening() -> None:
        assert DRRDataset(path).codec is not None

    structure_alone = _milliseconds(lambda: Reader(path).close())
    read, opened = _milliseconds(models), _milliseconds(opening)
    return {
        "structure and index, ms": structure_alone,
        "reading the models, ms": read,
        "opening, models included, ms": opened,
        "beyond the models, ms": opened - read,
    }


def _milliseconds(act: Callable[[], None]) -> float:
    """The median of several times."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - start))
    return round(sorted(times)[len(times) // 2], 2)


if __name__ == "__main__":
    main()
