"""What opening a memory costs beyond reading its models, for 100 and for 1,000 classes.

    python benchmarks/opening.py benchmarks/results/tin100-codec.drr -o benchmarks/results/NAME.json

The models are those of the file given. Reading them is: their bytes from the file, and the networks
from the bytes. Beyond them is all else that comes before a class can be decoded: a dataset reads
its models when it first decodes.
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
from made_by import made_by

from drrpack.core.codec import assemble
from drrpack.core.entropy.sections import unpack_entropy
from drrpack.core.weights import unpack_vqvae
from drrpack.formats.container import Chunk, Reader, write
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.files.plainfile import PlainFile

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
    text = json.dumps({**found, **made_by()}, indent=1)
    print(text)
    given.output.write_text(text + "\n")


def _measure(path: Path) -> dict[str, float]:
    with Reader(path) as reader:
        structure = reader.structure
        places = [
            e for name, e in structure.extents.items() if name.endswith(("config", "weights"))
        ]
        vqvae, entropy = reader.vqvae, reader.entropy_model

    def models() -> None:
        file = PlainFile(path)
        for extent in places:
            file.read(extent.offset, extent.size)
        network, bits = unpack_vqvae(vqvae)
        assemble(network, bits, *unpack_entropy(entropy), CPU)

    return {
        "reading the models, ms": _milliseconds(models),
        "beyond the models, ms": _milliseconds(lambda: DRRDataset(path)),
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
