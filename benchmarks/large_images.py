"""Peak memory and CPU time of whole commands on images of 224x224, for two numbers of images.

    python benchmarks/large_images.py -o benchmarks/results/NAME.json [--photographs FOLDER]

The images are crops of the photographs that come with scikit-learn, as JPEG files, and then those
of FOLDER in `FOLDER/class/`. Each command is a process of its own; its peak resident memory is what
the system says of it. The pixels of all images are held once, 150 kB an image; what else grows with
their number would show.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from child import measured
from made_by import made_by
from PIL import Image
from sklearn.datasets import load_sample_images

import drrpack

SIDE = 224
CLASSES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs=2, default=[100, 400])
    parser.add_argument("--photographs", type=Path, help="a folder to measure besides")
    parser.add_argument("--commands", nargs="+", help="these alone, such as encode verify")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sources = {count: Path(folder, f"photos{count}") for count in given.images}
        for count, source in sources.items():
            write_crops(source, count)
        if given.photographs:
            sources[len([*given.photographs.glob("*/*")])] = given.photographs
        for count, source in sources.items():
            memory = Path(folder, f"{count}.drr")
            commands = {
                "encode": ["encode", source, "-o", memory],
                "stats": ["stats", memory],
                "verify --full": ["verify", memory, "--full"],
                "export": ["export", memory, Path(folder, f"out{count}")],
                "compare": ["compare", source, "--sample", 25],
            }
            if given.commands:
                commands = {n: c for n, c in commands.items() if c[0] in given.commands}
            for name, arguments in commands.items():
                used = measured("-m", "drrpack", *arguments, quiet=True)
                row = {"command": name, "images": count, **used}
                rows.append(row)
                print(json.dumps(row), flush=True)
            account = drrpack.stats(memory).bytes
            rows[-len(commands)] |= {"file_bytes": account.file, "payload_bytes": account.payload}
    found = {"rows": rows, "size": [SIDE, SIDE], **made_by()}
    given.output.write_text(json.dumps(found, indent=1) + "\n")


def write_crops(root: Path, count: int) -> None:
    """``count`` crops of two photographs, mirrored or not, in classes of one photograph each."""
    photographs = load_sample_images().images
    rng = np.random.default_rng(0)
    for number in range(count):
        place = root / f"class{number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        photograph = photographs[number % CLASSES % len(photographs)]
        row, column = (int(rng.integers(0, side - SIDE)) for side in photograph.shape[:2])
        crop = photograph[row : row + SIDE, column : column + SIDE]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        Image.fromarray(np.ascontiguousarray(crop)).save(place / f"{number:05}.jpg", quality=90)


if __name__ == "__main__":
    main()
