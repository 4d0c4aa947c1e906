"""Pictures, and ``drrpack`` as a process of its own, for the tests of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from drrpack import DRRDataset
from drrpack.formats.container import Reader, write

Encode = Callable[..., Path]

CLASSES = ("cat", "dog", "eel")
IMAGES = 6  # of each class


def picture(seed: int, width: int = 32, height: int = 32) -> Image.Image:
    """A picture as smooth as a photograph, another for each seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def save(path: Path, seed: int, width: int = 32, height: int = 32, **options: Any) -> Path:
    """Write one picture, in the format of the name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, width, height).save(path, **options)
    return path


def folder(root: Path, *classes: str, images: int = 2) -> Path:
    """An image folder with a few pictures in each class, all of them different."""
    for number, name in enumerate(classes):
        for index in range(images):
            save(root / name / f"{index}.png", 100 * number + index)
    return root


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """``drrpack`` in a new process, as a shell would start it; ``env`` is added to ours."""
    given = {"capture_output": True, "text": True, "timeout": 240, **options}
    given["env"] = {**os.environ, "COLUMNS": "300", **options.get("env", {})}
    return subprocess.run([sys.executable, "-m", "drrpack", *map(str, arguments)], **given)


def renamed(path: Path, output: Path, *classes: str) -> Path:
    """A memory of the same images, whose classes have other names."""
    with Reader(path) as reader:
        write(output, replace(reader.memory(), classes=list(classes)))
    return output


def contents(path: Path) -> tuple[list[str], list[int], bytes]:
    """Classes, labels and pixels of a memory, all that training sees of it."""
    dataset = DRRDataset(path)
    return dataset.classes, dataset.targets, dataset.to_numpy()[0].tobytes()
