"""Speed of `drrpack encode`: images a second, each stage, beside peers in the same run.

    python benchmarks/encode_speed.py codec.drr SOURCE -o benchmarks/results/NAME.json

The peers do the same part of the work on the same machine in the same run: lossless WebP files for
the whole of it, lzma for codes to bits, torchvision's ImageFolder of JPEG files for pixels. WebP is
timed at its best: all methods and efforts are tried on some of the images, and of those whose files
are within 1 % of the smallest the fastest makes them all. (`exact` is about transparent pixels, of
which photographs have none.) What others publish about their own code is not in here.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_by import made_by
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from drrpack.core import codec as codecs
from drrpack.core import streams
from drrpack.core.layouts import suited
from drrpack.core.pricing import with_quality
from drrpack.core.rdoq import DEFAULT_QUALITY
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec
from drrpack.formats.sources.source import open_source

JPEG_QUALITY = 90
TRIED_ON = 200  # images, on which settings of WebP are compared
WITHIN = 1.01  # a setting may make files so many times as large as the smallest ones
METHODS, EFFORTS = range(7), (0, 20, 50, 75, 100)  # of lossless WebP; the effort is its "quality"


@dataclass(frozen=True)
class Setting:
    """Lossless WebP as Pillow is told to write it, and what came of it."""

    method: int
    quality: int  # how hard it tries
    image_bytes: float
    images_a_second: float


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
    codec = timed("choose the layout", lambda: suited(codec, codes))
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
    settings = tried_settings(np.concatenate(images))
    best = fastest_of_small(settings)
    timed("peer: lossless WebP files", lambda: [_webp(i, best) for part in images for i in part])
    with tempfile.TemporaryDirectory() as folder:
        loader = _jpeg_folder(Path(folder), images)
        timed("peer: ImageFolder of JPEG files", lambda: sum(len(x) for x, _ in loader))
    _report(
        given.output,
        codec.entropy.kind,
        sum(map(len, images)),
        sum(source.images_per_class),
        seconds,
        settings,
    )


def tried_settings(images: np.ndarray) -> list[Setting]:
    """All methods and efforts, on some images that are spread over ``images`` (N, H, W, 3)."""
    some = images[np.linspace(0, len(images) - 1, min(TRIED_ON, len(images))).astype(int)]
    found = []
    for method in METHODS:
        for quality in EFFORTS:
            setting = Setting(method, quality, 0.0, 0.0)
            start = time.perf_counter()
            size = sum(len(_webp(image, setting)) for image in some)
            rate = len(some) / (time.perf_counter() - start)
            found.append(replace(setting, image_bytes=size / len(some), images_a_second=rate))
    return found


def fastest_of_small(settings: Sequence[Setting]) -> Setting:
    """The fastest of those whose files are within `WITHIN` of the smallest."""
    smallest = min(setting.image_bytes for setting in settings)
    small = [setting for setting in settings if setting.image_bytes <= WITHIN * smallest]
    return max(small, key=lambda setting: setting.images_a_second)


def _webp(image: np.ndarray, setting: Setting) -> bytes:
    out = io.BytesIO()
    told = {"lossless": True, "method": setting.method, "quality": setting.quality}
    Image.fromarray(image).save(out, "WEBP", **told)
    return out.getvalue()


def _jpeg_folder(root: Path, images: list[np.ndarray]) -> DataLoader[Any]:
    """The images as JPEG files, and a loader of them with a worker for each core."""
    for number, part in enumerate(images):
        place = root / f"{number:04}"
        place.mkdir()
        for row, image in enumerate(part):
            Image.fromarray(image).save(place / f"{row:04}.jpg", quality=JPEG_QUALITY)
    folder = ImageFolder(str(root), transform=pil_to_tensor)
    return DataLoader(folder, batch_size=128, num_workers=os.cpu_count() or 1)


def _report(
    output: Path,
    kind: str,
    images: int,
    pictures: int,
    seconds: dict[str, float],
    settings: list[Setting],
) -> None:
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
            "lossless WebP files": images / seconds["peer: lossless WebP files"],
            "codes by lzma": images / seconds["peer: lzma on the codes"],
            "pixels from JPEG files": images / seconds["peer: ImageFolder of JPEG files"],
        },
        "ratio": {
            "checked encode to lossless WebP": seconds["peer: lossless WebP files"] / checked,
            "pixels from codes to pixels from JPEG files": seconds[
                "peer: ImageFolder of JPEG files"
            ]
            / seconds["pixels from codes"],
            "codes to streams to lzma": seconds["peer: lzma on the codes"] / coded,
        },
        "lossless WebP": {
            "timed": vars(fastest_of_small(settings)),
            "the fastest of those within": WITHIN,
            "tried": [vars(setting) for setting in settings],
        },
        "JPEG files": {"quality": JPEG_QUALITY, "workers": os.cpu_count()},
        **made_by(),
    }
    output.write_text(json.dumps(found, indent=2) + "\n")
    shown = {name: found[name] for name in ("images_per_second", "ratio")}
    print(json.dumps({**shown, "lossless WebP": found["lossless WebP"]["timed"]}, indent=2))


if __name__ == "__main__":
    main()
