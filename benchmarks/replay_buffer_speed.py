"""The speed of a `drrpack.ReplayBuffer`: one thread, and what entropy coding would take.

    python benchmarks/replay_buffer_speed.py tin100/train -o speed.json

It measures images added and drawn a second, and what codes would take if they were entropy-coded
instead of packed.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_by import made_by

from drrpack import ReplayBuffer
from drrpack.core.codec import Codec
from drrpack.core.codes import Codes, Levels
from drrpack.core.layouts import lay_out
from drrpack.core.streams import StreamLayout
from drrpack.formats.container import Reader
from drrpack.formats.replay.codecs import codec_for, shipped_path
from drrpack.formats.replay.packing import CodePacking
from drrpack.formats.sources.source import open_source


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.write_text(json.dumps(speed(given.source), indent=1) + "\n")


def speed(folder: Path) -> dict[str, Any]:
    """Images a second of the buffer, and of codes that are entropy-coded."""
    source = open_source(folder, size=32)
    half = range(len(source.classes) // 2, len(source.classes))  # of which the codec saw none
    images = np.concatenate([source.load(number)[:8] for number in half])[:400]
    labels = np.zeros(len(images), np.int64)
    found: dict[str, Any] = {"images": len(images), "added": {}, "drawn": {}}
    for batch in (1, 10, 100):
        buffer = ReplayBuffer(budget_bytes=10_000_000)
        buffer.add(images[:batch], labels[:batch])  # what only the first call takes
        parts = [slice(i, i + batch) for i in range(0, min(len(images), 40 * batch), batch)]
        found["added"][batch] = rate(
            batch, [lambda p=p, b=buffer: b.add(images[p], labels[p]) for p in parts]
        )
        found["drawn"][batch] = rate(
            batch, [lambda n=batch, b=buffer: b.sample(n, replacement=True)] * 40
        )
    with Reader(shipped_path()) as reader:
        codec = codec_for(reader, torch.device("cpu"), None)
    found["storage"] = storage(codec, codec.encode(images))
    return {**found, **made_by()}


def storage(codec: Codec, codes: Codes) -> dict[str, Any]:
    """Bytes of an image, and how many images a second are unpacked, of 10 drawn at random: packed,
    each image's codes entropy-coded alone, and in chunks of 20, of which each has one drawn image.
    """
    packing = CodePacking.of(codes.top_shape, codec.vqvae.config.codebook_size)
    rows = packing.pack(codes)
    found = {"packed": (rows.shape[1], rate(10, [lambda: packing.unpack(rows[:10])] * 40))}
    alone = replace(codec, layouts=Levels(StreamLayout(0, 1, 1), StreamLayout(0, 1, 1)))
    for name, images in (("entropy-coded, each image alone", 1), ("in chunks of 20 images", 20)):
        parts = [codes.take(slice(i, i + images)) for i in range(0, len(codes), images)]
        used, coded = (alone, alone.compress(parts)) if images == 1 else lay_out(codec, parts)
        size = sum(4 * (len(made.top) + len(made.bottom)) for made in coded)
        tens = [coded[i : i + 10] for i in range(0, min(len(coded), 200), 10)]
        unpacked = [lambda ten=ten, by=used: by.decompress(ten, codes.top_shape) for ten in tens]
        found[name] = size / len(codes), rate(10, unpacked)
    return {
        name: {"bytes_per_image": size, "unpacked_per_second": speed}
        for name, (size, speed) in found.items()
    }


def rate(images: int, jobs: list[Any]) -> float:
    """Images a second: the median over jobs, as other work disturbs some."""
    seconds = []
    for job in jobs:
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return images / float(np.median(seconds))


if __name__ == "__main__":
    main()
