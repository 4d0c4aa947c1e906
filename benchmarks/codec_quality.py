"""PSNR of a memory on images its codec never saw, beside JPEG and WebP at the same payload bytes.

    python benchmarks/codec_quality.py mem.drr SOURCE -o benchmarks/results/NAME.json

SOURCE is the folder that was encoded. What every JPEG (tables) or WebP (container) of one size has
in common is not counted for them, as the models are not counted in the payload.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from drrpack import DRRDataset
from drrpack.formats.account import account
from drrpack.formats.sources import open_source
from drrpack.trainers.quality import psnr_db
from drrpack.trainers.results import versions

WEBP_COMMON_BYTES = 27  # RIFF and chunk headers, start code, width and height
EACH = 40  # images of each unseen class


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    dataset, source = DRRDataset(given.memory), open_source(given.source, splits=["train"])
    figures = account(dataset.reader)
    fit = dataset.reader.metadata["fit"]
    unseen = range(fit["classes"], len(dataset.classes))
    starts = np.searchsorted(dataset.targets, np.arange(len(dataset.classes)))
    where = np.concatenate([starts[c] + np.arange(EACH) for c in unseen])
    images = np.concatenate([source.load(c)[:EACH] for c in unseen])
    payload = figures["bytes_per_image"]["payload"]
    curves = {
        "JPEG 4:2:0": jpeg_curve(images, 2),
        "JPEG 4:4:4": jpeg_curve(images, 0),
        "WebP": webp_curve(images),
    }
    total = figures["bytes_per_image"]["total"]
    found = {
        "images": len(images),
        "on": f"{len(unseen)} classes that the codec never saw",
        "payload_bytes_per_image": payload,
        "psnr_db": psnr_db(images, dataset.pixels(where)),
        "peers_at_the_payloads_bytes": {k: at_bytes(payload, c) for k, c in curves.items()},
        "peers_at_the_files_bytes": {k: at_bytes(total, c) for k, c in curves.items()},
        "stats": figures,
        "fit": fit,
        "versions": versions(),
    }
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    shown = ("psnr_db", "peers_at_the_payloads_bytes", "peers_at_the_files_bytes")
    print(json.dumps({name: found[name] for name in shown}, indent=2))


Curve = list[tuple[float, float, int]]  # bytes an image, PSNR, quality setting


def jpeg_curve(images: np.ndarray, subsampling: int) -> Curve:
    """JPEG with its standard tables, which files of one quality share."""
    curve = []
    for quality in (1, 2, 3, 5, 7, 10, 12, 15, 20, 30):
        packed = [_save(i, "JPEG", quality=quality, subsampling=subsampling) for i in images]
        sizes = [len(data) - _scan_start(data) for data in packed]
        curve.append((float(np.mean(sizes)), psnr_db(images, _load(packed)), quality))
    return curve


def webp_curve(images: np.ndarray) -> Curve:
    """Lossy WebP at its slowest, smallest setting."""
    curve = []
    for quality in (0, 1, 2, 3, 5, 10, 20):
        packed = [_save(i, "WEBP", quality=quality, method=6) for i in images]
        sizes = [len(data) - WEBP_COMMON_BYTES for data in packed]
        curve.append((float(np.mean(sizes)), psnr_db(images, _load(packed)), quality))
    return curve


def at_bytes(wanted: float, curve: Curve) -> dict[str, float | str]:
    """PSNR at ``wanted`` bytes by linear interpolation; the smallest setting where none is."""
    size, psnr, quality = (np.array(column) for column in zip(*sorted(curve), strict=True))
    if wanted < size[0]:
        note = f"its smallest, at quality {quality[0]}, is {size[0]:.1f} bytes"
        return {"psnr_db": float(psnr[0]), "bytes": float(size[0]), "note": note}
    return {"psnr_db": float(np.interp(wanted, size, psnr)), "bytes": wanted}


def _save(image: np.ndarray, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def _load(packed: list[bytes]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in packed])


def _scan_start(data: bytes) -> int:
    """Where the entropy-coded scan starts: all before it is common to files of one quality."""
    marker = data.rindex(b"\xff\xda")
    return marker + 2 + int.from_bytes(data[marker + 2 : marker + 4], "big")


if __name__ == "__main__":
    main()
