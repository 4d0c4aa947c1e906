"""Codes decoded under every condition against codes encoded, on a real memory.

    python benchmarks/exactness.py mem.drr -o benchmarks/results/NAME.json

Takes 100 images of each of the last 20 classes (2,000 of classes that the codec never saw, for a
codec fitted on the first half), encodes them anew under each condition and compares the streams,
decodes the first streams under each condition and compares the codes; then in a second process,
one class alone, and on a GPU where there is one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drrpack.codec import ClassCodes, ClassStreams, Codec
from drrpack.exact import IntConv2d
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec, read_codes
from drrpack.trainers.results import versions

CLASSES, IMAGES = 20, 100
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--child", type=Path, help="(decode these streams, print a digest)")
    given = parser.parse_args()
    codec, codes = _load(given.memory, torch.float32)
    if given.child is not None:
        _child(codec, codes, given.child)
        return
    streams = codec.compress(codes)
    rows = [_condition(given.memory, codes, streams, *how) for how in _conditions()]
    found = {
        "classes": CLASSES,
        "images": sum(map(len, codes)),
        "conditions": rows,
        "one class alone": all(
            _equal(codec.decompress([s], codes[0].top.shape[1:]), [c])
            for s, c in zip(streams, codes, strict=True)
        ),
        "second process": _second_process(given.memory, streams),
        "gpu": _gpu(given.memory, codes, streams),
        "versions": versions(),
    }
    found["all equal"] = _all_true(found)
    print(json.dumps(found, indent=1))
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0 if found["all equal"] else 1)


def _load(path: Path, carrier: torch.dtype, device: torch.device = CPU) -> Any:
    with Reader(path) as reader:
        codec = load_codec(reader, device, carrier)
        last = range(len(reader.classes) - CLASSES, len(reader.classes))
        every = read_codes(reader, codec, last)
    return codec, [ClassCodes(c.top[:IMAGES], c.bottom[:IMAGES]) for c in every.values()]


def _conditions() -> Iterator[tuple[int, int, bool, bool, torch.dtype]]:
    """Batch, threads, channels last, oneDNN, carrier: all of them with all others."""
    return product(
        (1, 7, 256), (1, 2), (False, True), (True, False), (torch.float32, torch.float64)
    )


def _condition(
    path: Path, codes: list[ClassCodes], streams: list[ClassStreams],
    batch: int, threads: int, channels_last: bool, mkldnn: bool, carrier: torch.dtype,
) -> dict[str, Any]:  # fmt: skip
    few = slice(0, 2) if batch == 1 else slice(None)  # one image a call takes its time
    with _running(batch, threads, channels_last, mkldnn):
        codec, _ = _load(path, carrier)
        decoded = codec.decompress(streams[few], codes[0].top.shape[1:])
        again = codec.compress(codes[few])
    row = {
        "batch": batch, "threads": threads, "channels_last": channels_last, "mkldnn": mkldnn,
        "carrier": str(carrier).removeprefix("torch."), "classes": len(codes[few]),
        "decoded": _equal(decoded, codes[few]), "streams": _same(again, streams[few]),
    }  # fmt: skip
    print(row, flush=True)
    return row


@contextmanager
def _running(batch: int, threads: int, channels_last: bool, mkldnn: bool) -> Iterator[None]:
    """Convolutions get ``batch`` images at a time, in one memory layout, with or without oneDNN."""
    convolve, before = IntConv2d._convolve, torch.get_num_threads()

    def in_parts(self: IntConv2d, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        parts = (part.contiguous(memory_format=layout) for part in x.split(batch))
        return torch.cat([convolve(self, part, weight, bias) for part in parts])

    IntConv2d._convolve = in_parts  # type: ignore[method-assign]
    torch.set_num_threads(threads)
    try:
        with torch.backends.mkldnn.flags(enabled=mkldnn):
            yield
    finally:
        IntConv2d._convolve = convolve  # type: ignore[method-assign]
        torch.set_num_threads(before)


def _second_process(path: Path, streams: list[ClassStreams]) -> bool:
    """Another process decodes the file by itself and encodes to the same streams."""
    kept = path.with_suffix(".streams.npz")
    np.savez(kept, *(part for s in streams for part in (s.top, s.bottom)))
    try:
        command = [sys.executable, __file__, str(path), "--child", str(kept)]
        return subprocess.run(command, check=False).returncode == 0
    finally:
        kept.unlink()


def _child(codec: Codec, codes: list[ClassCodes], kept: Path) -> None:
    with np.load(kept) as arrays:
        words = [arrays[name] for name in arrays.files]
    pairs = zip(words[::2], words[1::2], codes, strict=True)
    streams = [ClassStreams(len(c), top, bottom) for top, bottom, c in pairs]
    equal = _equal(codec.decompress(streams, codes[0].top.shape[1:]), codes)
    sys.exit(0 if equal and _same(codec.compress(codes), streams) else 1)


def _gpu(path: Path, codes: list[ClassCodes], streams: list[ClassStreams]) -> bool | str:
    if not torch.cuda.is_available():
        return "not measured: no GPU"
    codec, _ = _load(path, torch.float64, torch.device("cuda"))
    decoded = codec.decompress(streams, codes[0].top.shape[1:])
    return _equal(decoded, codes) and _same(codec.compress(codes), streams)


def _equal(found: list[ClassCodes], wanted: list[ClassCodes]) -> bool:
    pairs = zip(found, wanted, strict=True)
    return all(np.array_equal(a.flat, b.flat) for a, b in pairs)


def _same(found: list[ClassStreams], wanted: list[ClassStreams]) -> bool:
    pairs = zip(found, wanted, strict=True)
    return all(
        np.array_equal(a.top, b.top) and np.array_equal(a.bottom, b.bottom) for a, b in pairs
    )


def _all_true(found: dict[str, Any]) -> bool:
    rows = all(row["decoded"] and row["streams"] for row in found["conditions"])
    gpu = found["gpu"] is not False
    return bool(rows and gpu and found["one class alone"] and found["second process"])


if __name__ == "__main__":
    main()
