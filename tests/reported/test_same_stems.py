"""Reported: webdataset/webdataset#157: files of one name, but for the ending, fell together or
were refused as duplicates.

Right: each file is an image of its own, whatever its name shares with others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from samples import Encode, save

from drrpack import DRRDataset
from drrpack.formats.sources.source import open_source

NAMES = ("a.png", "a.jpg", "a.webp", "a.PNG", "a.b.png", "a.png.png", "a", "a (1).png")


def test_none_is_lost(tmp_path: Path, encode: Encode) -> None:
    source = tmp_path / "src"
    for seed, name in enumerate(NAMES):
        kind = name.rpartition(".")[2].lower() if "." in name else "png"
        save(source / "cat" / name, seed, format={"jpg": "jpeg"}.get(kind, kind))
    save(source / "dog" / "a.png", 20)
    there = sorted(path.name for path in (source / "cat").iterdir())  # 7 where case is ignored
    opened = open_source(source)
    assert [path.name for path in opened.paths(0)] == there
    dataset = DRRDataset(encode(source))
    assert dataset.targets == [0] * len(there) + [1]
    assert len({image.tobytes() for image in opened.load(0)}) == len(there)
    assert len(np.unique(dataset.to_numpy()[0], axis=0)) == len(there) + 1
