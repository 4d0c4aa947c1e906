"""PSNR of a memory on images its codec never saw, beside JPEG and WebP at the same payload bytes;
and what bits and PSNR become of its codec's nearest codes, and of cheaper ones.

    python benchmarks/codec_quality.py mem.drr SOURCE -o benchmarks/results/NAME.json

SOURCE is the folder that was encoded. What every JPEG (tables) or WebP (container) of one size has
in common is not counted for them, as the models are not counted in the payload. Codes are chosen
anew for each quality, so the file must hold its encoder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_by import made_by

from drrpack import DRRDataset
from drrpack.core.pricing import with_quality
from drrpack.core.quality import psnr_db
from drrpack.formats.account import account
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec
from drrpack.formats.sources.source import open_source
from drrpack.trainers.comparison.peers import LOSSY, Rival
from drrpack.trainers.fitting.estimate import bits_of_codes

EACH = 40  # images of each unseen class
QUALITIES = (100, 95, 87, 75, 50, 0)  # 100: of all codes the nearest
PEERS: dict[str, tuple[Rival, Sequence[float]]] = {
    "JPEG 4:2:0": (LOSSY["JPEG"], (1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 15, 20, 30)),
    "JPEG 4:4:4": (
        replace(LOSSY["JPEG"], options={"subsampling": "4:4:4"}),
        (1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 15, 20, 30),
    ),
    "WebP": (LOSSY["WebP"], (0, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 3, 5, 10, 20)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    dataset, source = DRRDataset(given.memory), open_source(given.source, splits=["train"])
    figures = account(dataset.reader).to_json()
    fit = dataset.reader.metadata["fit"]
    unseen = range(fit["classes"], len(dataset.classes))
    starts = np.searchsorted(dataset.targets, np.arange(len(dataset.classes)))
    where = np.concatenate([starts[c] + np.arange(EACH) for c in unseen])
    images = np.concatenate([source.load(c)[:EACH] for c in unseen])
    payload = figures["bytes_per_image"]["payload"]
    curves = {name: curve(images, rival, steps) for name, (rival, steps) in PEERS.items()}
    total = figures["bytes_per_image"]["total"]
    found = {
        "images": len(images),
        "on": f"{len(unseen)} classes that the codec never saw",
        "payload_bytes_per_image": payload,
        "psnr_db": psnr_db(images, dataset.pixels(where)),
        "by_quality": by_quality(given.memory, images),
        "peers": {name: {"format": r.format, **r.options} for name, (r, _) in PEERS.items()},
        "peers_at_the_payloads_bytes": {k: at_bytes(payload, c) for k, c in curves.items()},
        "peers_at_the_files_bytes": {k: at_bytes(total, c) for k, c in curves.items()},
        "stats": figures,
        "fit": fit,
        **made_by(),
    }
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    shown = ("psnr_db", "by_quality", "peers_at_the_payloads_bytes", "peers_at_the_files_bytes")
    print(json.dumps({name: found[name] for name in shown}, indent=2))


Curve = list[tuple[float, float, float]]  # bytes an image, PSNR, quality setting


def by_quality(memory: Path, images: np.ndarray) -> dict[str, dict[str, Any]]:
    """Bits of a code by the file's own entropy model, and PSNR, at each `--quality` of encoding."""
    with Reader(memory) as reader:
        codec = load_codec(reader, torch.device("cpu"), encoder=True)
    found = {}
    for quality in QUALITIES:
        (choosing,) = with_quality([codec], quality)
        codes = choosing.encode(images)
        decoded = choosing.decode(codes, (images.shape[1], images.shape[2]))
        bits = bits_of_codes(choosing, codes)
        size = bits["all"] * codes.flat.shape[1] / 8
        psnr = psnr_db(images, decoded)
        found[str(quality)] = {"bits_per_code": bits, "bytes_per_image": size, "psnr_db": psnr}
    return found


def curve(images: np.ndarray, rival: Rival, qualities: Sequence[float]) -> Curve:
    """Files of one image each, at some qualities."""
    found = []
    for quality in qualities:
        packed = rival.pack([images], quality)
        found.append((packed.image_bytes, psnr_db(images, packed.images), quality))
    return found


def at_bytes(wanted: float, curve: Curve) -> dict[str, float | str]:
    """PSNR at ``wanted`` bytes by linear interpolation; the smallest setting where none is."""
    size, psnr, quality = (np.array(column) for column in zip(*sorted(curve), strict=True))
    if wanted < size[0]:
        note = f"its smallest, at quality {quality[0]}, is {size[0]:.1f} bytes"
        return {"psnr_db": float(psnr[0]), "bytes": float(size[0]), "note": note}
    return {"psnr_db": float(np.interp(wanted, size, psnr)), "bytes": wanted}


if __name__ == "__main__":
    main()
