"""Speed of `drrpack encode`: images a second, each stage, beside peers in the same run.

    python benchmarks/encode_speed.py codec.drr SOURCE -o benchmarks/results/NAME.json

The peers do the same part of the work on the same machine at the same time: lossless WebP files
for the whole of it, lzma for codes to bits.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from drrpack import codec as codecs
from drrpack import streams
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec
from drrpack.formats.sources import open_source
from drrpack.rdoq import DEFAULT_QUALITY, with_quality
from drrpack.trainers.results import versions

REFERENCE_IMAGES_PER_SECOND = 0.7  # the published Bit-Swap, one image at a time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codec", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--images", type=int, default=100, help="of each class")
    given = parser.parse_args()
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        out = work()
        seconds[name] = time.perf_counter() - start
        return out

    source = timed("read and check pictures", lambda: open_source(given.source, splits=["train"]))
    images = [source.load(c)[: given.images] for c in range(len(source.classes))]
    with Reader(given.codec) as reader:
        codec = load_codec(reader, torch.device("cpu"), encoder=True)
    (codec,) = with_quality([codec], DEFAULT_QUALITY)
    codes = timed("VQ-VAE", lambda: [codec.encode(part) for part in images])
    tops, bottoms = [c.top for c in codes], [c.bottom for c in codes]
    layouts = timed(
        "choose the layout",
        lambda: (
            streams.choose_layout(codec.top, tops, None),
            streams.choose_layout(codec.bottom, bottoms, tops),
        ),
    )
    levels = [
        replace(level, layout=layout)
        for level, layout in zip((codec.top, codec.bottom), layouts, strict=True)
    ]
    codec = replace(codec, top=levels[0], bottom=levels[1])
    top = timed("code, top", lambda: streams.encode(codec.top, tops, None))
    bottom = timed("code, bottom", lambda: streams.encode(codec.bottom, bottoms, tops))
    made = [
        codecs.ClassStreams(len(c), t, b, c.digest)
        for c, t, b in zip(codes, top, bottom, strict=True)
    ]
    decoded = timed("decode and compare", lambda: codec.decompress(made, tops[0].shape[1:]))
    assert all((a.flat == b.flat).all() for a, b in zip(codes, decoded, strict=True))
    size = source.image_size
    timed("pixels from codes", lambda: [codec.decode(c, size) for c in codes])
    flat = np.concatenate([c.flat.reshape(-1) for c in codes]).astype("<u2").tobytes()
    timed("peer: lzma on the codes", lambda: lzma.compress(flat, preset=9))
    timed("peer: lossless WebP files", lambda: [_webp(i) for part in images for i in part])
    _report(
        given.output,
        codec.bitswap.config.kind,
        sum(map(len, images)),
        sum(source.images_per_class),
        seconds,
    )


def _webp(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "WEBP", lossless=True, method=6)
    return out.getvalue()


def _report(output: Path, kind: str, images: int, pictures: int, seconds: dict[str, float]) -> None:
    """Images a second: without fitting, reading included."""
    reading = seconds["read and check pictures"] * images / pictures
    coding = ("VQ-VAE", "choose the layout", "code, top", "code, bottom")
    encoding = reading + sum(seconds[name] for name in coding)
    checked = encoding + seconds["decode and compare"]
    coded = seconds["code, top"] + seconds["code, bottom"]
    found = {
        "entropy model": kind,
        "images": images,
        "seconds": seconds,
        "images_per_second": {
            "encode": images / encoding,
            "encode, then decode and compare": images / checked,
            "codes to streams": images / coded,
            "streams to codes": images / seconds["decode and compare"],
            "pixels from codes": images / seconds["pixels from codes"],
        },
        "ratio": {
            "checked encode to the published code's 0.7 images/s": images
            / checked
            / REFERENCE_IMAGES_PER_SECOND,
            "checked encode to lossless WebP": seconds["peer: lossless WebP files"] / checked,
            "codes to streams to lzma": seconds["peer: lzma on the codes"] / coded,
        },
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": versions(),
    }
    output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps({k: found[k] for k in ("images_per_second", "ratio")}, indent=2))


if __name__ == "__main__":
    main()
