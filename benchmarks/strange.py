"""Memories of images unlike those of the shipped codec: the entropy coder beside what is simpler.

    python benchmarks/strange.py FOLDER ... -o benchmarks/results/NAME.json

Each FOLDER is an image folder, such as `strange_images.py` makes, and is encoded with the defaults
of `drrpack encode`, and with `--thin`. Beside the bits that its streams take stand those of simpler
ways to code the same codes: drrpack's table of how often each code of a level occurs (ideal code
lengths, and the table's own bytes as a file stores them), and lzma at its strongest, of all codes
of a level as 16-bit numbers, or of their low bytes and then their high bytes, whichever is smaller.
The bits of a file count the bytes of its own entropy model, too. Rivals are image files,
without the headers that all have in common: at a low quality, with their PSNR, or without loss.
"""

from __future__ import annotations

import argparse
import json
import lzma
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_by import made_by
from numpy.typing import NDArray

import drrpack
from drrpack.core.codes import LEVELS, Codes, Levels
from drrpack.core.frequencies import (
    TABLE_PRECISION,
    Frequencies,
    tables_of_all,
    tables_to_bytes,
)
from drrpack.core.quality import psnr_db
from drrpack.formats.account import Stats
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec, read_codes
from drrpack.formats.sources.source import open_source
from drrpack.operations.entropy_models import SEEN_WEIGHT
from drrpack.operations.figures import LZMA_FILTER, references
from drrpack.operations.progress import EntropyChoice
from drrpack.trainers.comparison import peers

QUALITY = 75
LOSSY_QUALITIES = {"JPEG": 10, "WebP": 0, "AVIF": 15}
# Bytes, not numbers of two bytes, which `references` tells lzma of.
PLANES_FILTER = {**LZMA_FILTER, "lc": 3, "lp": 0}
COLUMNS = ("folder", "images", "model", "bits", "thin", "table", "lzma", "bytes", "thin")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    rivals = (*LOSSY_QUALITIES, "WebP lossless", "PNG")
    print(_line((*COLUMNS, *rivals)), flush=True)
    found: dict[str, Any] = {}
    for folder in given.folders:
        found[folder.name] = measured(folder)
        print(_line(_row(folder.name, found[folder.name], rivals)), flush=True)
        text = json.dumps({"quality": QUALITY, "folders": found, **made_by()}, indent=1)
        given.output.write_text(text + "\n")


def measured(folder: Path) -> dict[str, Any]:
    """All figures of a folder."""
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole.drr"
        files = {
            "default": encoded(folder, whole, thin=False),
            "thin": encoded(folder, whole.with_name("thin.drr"), thin=True),
        }
        with Reader(whole) as reader:
            codec = load_codec(reader, torch.device("cpu"))
            codes = list(read_codes(reader, codec, range(len(reader.classes))).values())
            size = codec.entropy.codebook_size
    source = open_source(folder, splits=["train"])
    images = np.concatenate([source.load(number) for number in range(len(source.classes))])
    return {
        "images": len(images),
        "classes": len(source.classes),
        "codes": {level: sum(part[level].size for part in codes) for level in LEVELS},
        "files": files,
        "simpler_bits_per_code": simpler(codes, size),
        "rivals": rivals_of(images),
    }


def encoded(folder: Path, path: Path, *, thin: bool) -> dict[str, Any]:
    """A memory of the folder: its bytes, bits a code, and what `auto` chose from."""
    choices: list[EntropyChoice] = []

    def report(event: object) -> None:
        if isinstance(event, EntropyChoice):
            choices.append(event)

    start = time.perf_counter()
    stats = drrpack.encode(folder, path, quality=QUALITY, thin=thin, report=report)
    seconds = time.perf_counter() - start
    return {
        "entropy_model": stats.entropy_model,
        "bytes_by_model": choices[-1].sizes if choices else None,
        "bytes": stats.to_json()["bytes"],
        "bytes_per_image": stats.bytes_per_image.total,
        "bits_per_code": {
            level: getattr(stats.bits_per_code, level).coded for level in (*LEVELS, "all")
        },
        "bits_with_model": _with_model(stats),
        "psnr_db": stats.psnr_db,
        "psnr_on": stats.psnr_on,
        "encode_seconds": seconds,
    }


def _with_model(stats: Stats) -> float:
    """Bits a code of all streams and the entropy model."""
    parts = stats.bytes
    codes = 8 * parts.payload / stats.bits_per_code.all.coded
    return 8 * (parts.payload + parts.entropy_model) / codes


def simpler(codes: Sequence[Codes], codebook_size: int) -> dict[str, dict[str, float]]:
    """Bits a code, by level and of both, by tables and by lzma."""
    tables = tables_of_all(codes, codebook_size, weight=SEEN_WEIGHT)
    packed = references(codes)
    bits: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for level in LEVELS:
        flat = np.concatenate([part[level].reshape(-1) for part in codes])
        pairs, counts[level] = packed[level]["lzma"], flat.size
        table = 8 * table_bytes(tables[level]) / flat.size
        alone, planes = table_bits(flat, tables[level]), planes_bits(flat)
        bits[level] = {
            "table": alone + table,
            "table_without_its_bytes": alone,
            "order0_entropy": packed[level]["order0"],
            "lzma": min(pairs, planes),
            "lzma_of_pairs": pairs,
            "lzma_of_planes": planes,
        }
    total = sum(counts.values())
    bits["all"] = {
        name: sum(counts[level] * bits[level][name] for level in LEVELS) / total
        for name in bits["top"]
    }
    return bits


def table_bits(codes: NDArray[np.uint16], table: Frequencies) -> float:
    """The ideal length of codes, in bits a code."""
    return float((TABLE_PRECISION - np.log2(table[codes].astype(np.float64))).mean())


def table_bytes(table: Frequencies) -> float:
    """What one level's table takes in a file."""
    return len(tables_to_bytes(Levels(table, table))) / 2


def planes_bits(codes: NDArray[np.uint16]) -> float:
    """lzma of all low bytes and then of all high bytes, in bits a code."""
    packed = [
        lzma.compress(plane.astype(np.uint8).tobytes(), lzma.FORMAT_RAW, filters=[PLANES_FILTER])
        for plane in (codes & 255, codes >> 8)
    ]
    return 8 * sum(map(len, packed)) / codes.size


def rivals_of(images: NDArray[np.uint8]) -> dict[str, dict[str, float | None]]:
    """Bytes an image (n, H, W, 3), and PSNR where there is loss, of each format of this Pillow."""
    made = {
        name: peers.LOSSY[name].pack([images], quality)
        for name, quality in LOSSY_QUALITIES.items()
        if name in peers.available()
    }
    lossless = {"WebP lossless": peers.webp_lossless(images), "PNG": peers.png(images)}
    return {
        name: {
            "bytes_per_image": packed.image_bytes,
            "psnr_db": psnr_db(images, packed.images) if name in made else None,
        }
        for name, packed in {**made, **lossless}.items()
    }


def _row(name: str, found: dict[str, Any], rivals: Sequence[str]) -> list[str]:
    files, simple = found["files"], found["simpler_bits_per_code"]["all"]
    kinds = [files[variant]["entropy_model"] for variant in ("default", "thin")]
    sizes = [files[variant]["bytes_per_image"] for variant in ("default", "thin")]
    bits = [files[variant]["bits_with_model"] for variant in ("default", "thin")]
    sizes += [found["rivals"].get(r, {}).get("bytes_per_image", float("nan")) for r in rivals]
    return [
        name, str(found["images"]), "/".join(dict.fromkeys(kinds)),
        *(f"{value:.3f}" for value in (*bits, simple["table"], simple["lzma"])),
        *(f"{value:.1f}" for value in sizes),
    ]  # fmt: skip


def _line(cells: Sequence[str]) -> str:
    return f"{cells[0]:<11}" + "".join(f"{cell:>14}" for cell in cells[1:])


if __name__ == "__main__":
    main()
