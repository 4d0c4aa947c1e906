"""Small folders and files in place of those that the examples of docs/ name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_memory import GOLDEN_BITSWAP, encode_tiny

SIDE = 16  # pixels; `compare` takes none below 11
CIFAR100 = ["apple", "bear", *(f"class{number:02}" for number in range(2, 100))]


def write_stand_ins(folder: Path) -> Path:
    """What a reader of docs/ has: ``cifar100/`` with 100 classes, other folders, and memories."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    scans = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    write(folder / "cifar100", scans, CIFAR100, train=3, test=1)
    write(folder / "more_images", scans[800:], ["apple", "bear"], train=2)
    write(folder / "new_classes", scans[900:], ["cat", "dog"], train=3)
    write(folder / "images", scans[1000:], ["left", "right"], train=3)
    encode_tiny(folder / "cifar100", folder / "mem.drr", codec=GOLDEN_BITSWAP, raw_per_class=2)
    encode_tiny(folder / "new_classes", folder / "b.drr", codec=GOLDEN_BITSWAP)
    shutil.copy(folder / "mem.drr", folder / "a.drr")
    return folder


def write(
    folder: Path, scans: np.ndarray, classes: list[str], *, train: int, test: int = 0
) -> None:
    """An image folder, with ``test/`` where pictures are kept for testing."""
    scan = iter(scans)
    for name in classes:
        for number in range(train + test):
            split = "" if not test else "train" if number < train else "test"
            picture = folder / split / name / f"{number}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(next(scan)).resize((SIDE, SIDE)).save(picture)
