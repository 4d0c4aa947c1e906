"""Write scikit-learn's digits, 1,797 real 8x8 scans, as an image folder: train/ and test/."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

TEST_EVERY = 5  # of each digit, one scan in five is kept for testing


def write_digits(folder: Path) -> tuple[int, int]:
    """Replace ``folder`` by train/<digit>/*.png and test/<digit>/*.png; returns their counts."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), 0..16 before
    shutil.rmtree(folder, ignore_errors=True)
    counts = {"train": 0, "test": 0}
    for digit in range(10):
        for place, index in enumerate(np.flatnonzero(digits.target == digit)):
            split = "test" if place % TEST_EVERY == 0 else "train"
            picture = folder / split / str(digit) / f"{index:04}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[index]).save(picture)
            counts[split] += 1
    return counts["train"], counts["test"]


if __name__ == "__main__":
    train, test = write_digits(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: {train} training and {test} test images of 8x8 in 10 classes")
