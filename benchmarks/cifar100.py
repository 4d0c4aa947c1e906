"""The main job on the paper's own data: CIFAR-100, from an image folder and from CIFAR's own files.

    python benchmarks/cifar100.py cifar100/ -o benchmarks/results/cifar100-encode.json \
        --memory mem.drr [--fit --preset paper --epochs N]

The folder has train/ and test/ with a subfolder for each class. The script encodes it by
`drrpack encode --class-order 1993 --raw-per-class 20`, and by the options after these if there are
any. It writes the account of every byte, bits a code and PSNR (the paper's tables 3 and 4), and the
seconds. With the codec that comes with drrpack it also writes the same images as
cifar-100-python, encodes those, and compares the streams of all classes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import tempfile
import time
from pathlib import Path

import numpy as np

import drrpack
from drrpack.formats.container import Reader
from drrpack.formats.sources.source import open_source
from drrpack.trainers.versions import versions


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("source", type=Path)
    arguments.add_argument("-o", "--output", type=Path, required=True)
    arguments.add_argument("--memory", type=Path, required=True)
    arguments.add_argument("--fit", action="store_true")
    arguments.add_argument("--preset")
    arguments.add_argument("--epochs", type=int)
    arguments.add_argument("--minutes", type=float)
    given = arguments.parse_args()
    fit = {"fit": "scratch", "preset": given.preset} if given.fit else {}
    start = time.perf_counter()
    drrpack.encode(
        given.source, given.memory, class_order=1993, raw_per_class=20, epochs=given.epochs,
        minutes=given.minutes, force=True, **fit,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    stats = drrpack.stats(given.memory)
    with Reader(given.memory) as reader:
        log = reader.metadata["fit"]
    found = {
        "encode": {"seconds": seconds, **fit, "epochs": given.epochs, "minutes": given.minutes},
        "fit": log if given.fit else "the codec that comes with drrpack",
        "stats": stats.to_json(),
        "cores": os.cpu_count(),
        "versions": versions(),
    }
    if not given.fit:
        found["streams"] = both_ways(given.source, given.memory)
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def both_ways(source: Path, memory: Path) -> dict[str, object]:
    """Whether the images in CIFAR's own files give the streams of the image folder."""
    with tempfile.TemporaryDirectory() as place:
        folder = write_cifar(source, Path(place) / "cifar-100-python")
        drrpack.encode(folder, Path(place) / "mem.drr")
        one, other = streams_of(memory), streams_of(Path(place) / "mem.drr")
    return {"classes": len(one), "equal": sum(one[name] == other[name] for name in one)}


def write_cifar(source: Path, folder: Path) -> Path:
    """The images of a folder in the files of CIFAR-100: ``train``, ``test`` and ``meta``.

    Within a class the order of images is kept; classes take turns, as in the original.
    """
    opened = open_source(source)
    folder.mkdir()
    names = [name.encode() for name in opened.classes]
    for split in ("train", "test"):
        parts = [opened.load(label, split) for label in range(len(names))]
        pixels = np.concatenate(parts).transpose(0, 3, 1, 2).reshape(-1, 3 * 32 * 32)
        labels = np.repeat(np.arange(len(names)), [len(part) for part in parts])
        within = np.concatenate([np.arange(len(part)) for part in parts])
        turns = np.lexsort((labels, within))
        content = {
            b"data": pixels[turns],
            b"fine_labels": labels[turns].tolist(),
            b"coarse_labels": [0] * len(labels),
        }
        (folder / split).write_bytes(pickle.dumps(content, protocol=2))
    meta = {b"fine_label_names": names, b"coarse_label_names": [b"all"]}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder


def streams_of(path: Path) -> dict[str, str]:
    """A digest of both streams of each class, by its name."""
    with Reader(path) as reader:
        found = dict.fromkeys(reader.classes, "")
        for row, of in enumerate(reader.index["class"]):
            name = reader.classes[int(of)]
            both = [reader.stream(row, level) for level in ("top", "bottom")]
            digest = hashlib.sha256(b"".join(bytes(part) for part in both)).hexdigest()
            found[name] += digest
    return found


if __name__ == "__main__":
    main()
