"""Codes decoded under every condition against codes encoded, on a real memory.

    python benchmarks/exactness.py mem.drr -o benchmarks/results/NAME.json [--gpu-only]

Takes 100 images of each of the last 20 classes (2,000 of classes that the codec never saw, for a
codec fitted on the first half), decodes their streams under each condition and compares the codes,
encodes them anew and compares the streams; then with other settings of the process, in a second
process, one class alone, and on a GPU where there is one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drrpack.core.codec import ClassStreams, Codec
from drrpack.core.codes import Codes
from drrpack.core.convolution import IntConv2d
from drrpack.core.dense import IntLinear
from drrpack.core.int_layer import IntProduct
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec, read_codes
from drrpack.trainers.versions import versions

CLASSES, IMAGES = 20, 100
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--gpu-only", action="store_true", help="the conditions of a GPU alone")
    parser.add_argument("--child", type=Path, help="(decode these streams, print a digest)")
    given = parser.parse_args()
    codec = _codec(given.memory, torch.float32)
    codes = _codes(given.memory, codec)
    if given.child is not None:
        _child(codec, codes, given.child)
        return
    streams = codec.compress(codes)
    found: dict[str, Any] = {"classes": CLASSES, "images": sum(map(len, codes))}
    if not given.gpu_only:
        rows = [_condition(given.memory, codes, streams, *how) for how in _conditions()]
        found |= {
            "conditions": rows,
            "one class alone": all(
                _equal(codec.decompress([s], codes[0].top.shape[1:]), [c])
                for s, c in zip(streams, codes, strict=True)
            ),
            "other settings": _other_settings(given.memory, codes, streams),
            "second process": _second_process(given.memory, streams),
        }
    found |= {"gpu": _gpu(given.memory, codec, codes, streams), "versions": versions()}
    found["all equal"] = _all_true(found)
    print(json.dumps(found, indent=1))
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0 if found["all equal"] else 1)


def _codec(path: Path, carrier: torch.dtype, device: torch.device = CPU) -> Codec:
    with Reader(path) as reader:
        return load_codec(reader, device, carrier)


def _codes(path: Path, codec: Codec) -> list[Codes]:
    with Reader(path) as reader:
        last = range(len(reader.classes) - CLASSES, len(reader.classes))
        every = read_codes(reader, codec, last)
    return [c.take(slice(IMAGES)) for c in every.values()]


def _conditions() -> Iterator[tuple[int, int, bool, bool, torch.dtype]]:
    """Batch, threads, channels last, oneDNN, carrier: each changed alone, then all together."""
    plain = (256, 1, False, True, torch.float32)
    changes = ((1, 7), (2,), (True,), (False,), (torch.float64,))
    yield plain
    for place, values in enumerate(changes):
        for value in values:
            yield (*plain[:place], value, *plain[place + 1 :])  # type: ignore[misc]
    for last, onednn, carrier in product(
        (False, True), (True, False), (torch.float32, torch.float64)
    ):
        yield 7, 2, last, onednn, carrier


def _condition(
    path: Path, codes: list[Codes], streams: list[ClassStreams],
    batch: int, threads: int, channels_last: bool, mkldnn: bool, carrier: torch.dtype,
) -> dict[str, Any]:  # fmt: skip
    start = time.monotonic()
    with _running(batch, threads, channels_last, mkldnn):
        codec = _codec(path, carrier)
        decoded = codec.decompress(streams, codes[0].top.shape[1:])
        again = codec.compress(codes)
    row = {
        "batch": batch, "threads": threads, "channels_last": channels_last, "mkldnn": mkldnn,
        "carrier": str(carrier).removeprefix("torch."), "decoded": _equal(decoded, codes),
        "streams": _same(again, streams), "seconds": round(time.monotonic() - start, 1),
    }  # fmt: skip
    print(row, flush=True)
    return row


@contextmanager
def _running(batch: int, threads: int, channels_last: bool, mkldnn: bool) -> Iterator[None]:
    """Layers get ``batch`` images or places at a time, in one memory layout, with or without
    oneDNN."""
    kinds: tuple[type[IntProduct], ...] = (IntConv2d, IntLinear)
    before = torch.get_num_threads()
    originals = [kind.sums for kind in kinds]

    def in_parts(convolve: Any) -> Any:
        def run(self: IntProduct, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            last = channels_last and x.ndim == 4
            layout = torch.channels_last if last else torch.contiguous_format
            parts = (part.contiguous(memory_format=layout) for part in torch.split(x, batch))
            return torch.cat([convolve(self, part, weight, bias) for part in parts])

        return run

    for kind, original in zip(kinds, originals, strict=True):
        kind.sums = in_parts(original)  # type: ignore[method-assign]
    torch.set_num_threads(threads)
    try:
        with torch.backends.mkldnn.flags(enabled=mkldnn):
            yield
    finally:
        for kind, original in zip(kinds, originals, strict=True):
            kind.sums = original  # type: ignore[method-assign]
        torch.set_num_threads(before)


def _other_settings(path: Path, codes: list[Codes], streams: list[ClassStreams]) -> bool:
    """In a process that has set dtypes, devices, precision and errors for itself."""
    torch.set_default_dtype(torch.bfloat16)
    torch.set_float32_matmul_precision("medium")
    try:
        with (
            torch.device("meta"),
            torch.autocast("cpu", dtype=torch.bfloat16),
            np.errstate(all="raise"),
        ):
            codec = _codec(path, torch.float32)
            decoded = codec.decompress(streams, codes[0].top.shape[1:])
            return _equal(decoded, codes) and _same(codec.compress(codes), streams)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")


def _second_process(path: Path, streams: list[ClassStreams]) -> bool:
    """Another process decodes the file by itself and encodes to the same streams."""
    kept = path.with_suffix(".streams.npz")
    np.savez(kept, *(part for s in streams for part in (s.top, s.bottom)))
    try:
        command = [sys.executable, __file__, str(path), "--child", str(kept)]
        return subprocess.run(command, check=False).returncode == 0
    finally:
        kept.unlink()


def _child(codec: Codec, codes: list[Codes], kept: Path) -> None:
    with np.load(kept) as arrays:
        words = [arrays[name] for name in arrays.files]
    pairs = zip(words[::2], words[1::2], codes, strict=True)
    streams = [ClassStreams(len(c), top, bottom, c.digest) for top, bottom, c in pairs]
    equal = _equal(codec.decompress(streams, codes[0].top.shape[1:]), codes)
    sys.exit(0 if equal and _same(codec.compress(codes), streams) else 1)


def _gpu(
    path: Path, codec: Codec, codes: list[Codes], streams: list[ClassStreams]
) -> dict[str, Any] | str:
    """The same on a GPU: at several batches, in channels-last memory, with and without cuDNN; and
    pixels, which need not be equal to the last bit."""
    if not torch.cuda.is_available():
        return "not measured: no GPU"
    device = torch.device("cuda")
    found: dict[str, Any] = {"name": torch.cuda.get_device_name()}
    ways = {
        "plain": (256, False, True), "batches of 7": (7, False, True),
        "channels last": (256, True, True), "without cuDNN": (256, False, False),
    }  # fmt: skip
    for name, (batch, channels_last, cudnn) in ways.items():
        flags = torch.backends.cudnn.flags(enabled=cudnn)
        with _running(batch, torch.get_num_threads(), channels_last, True), flags:
            there = _codec(path, torch.float64, device)
            decoded = there.decompress(streams, codes[0].top.shape[1:])
            found[name] = {
                "decoded": _equal(decoded, codes), "streams": _same(there.compress(codes), streams)
            }  # fmt: skip
    there, size = _codec(path, torch.float64, device), _size(path)
    together = Codes.concat(codes)
    ours, theirs = (each.decode(together, size).astype(int) for each in (codec, there))
    found["pixels"] = {
        "equal": float((ours == theirs).mean()), "largest difference": int(abs(ours - theirs).max())
    }  # fmt: skip
    again = [each.encode(ours.astype(np.uint8)) for each in (codec, there)]
    found["codes of the same images"] = float((again[0].flat == again[1].flat).mean())
    return found


def _size(path: Path) -> tuple[int, int]:
    with Reader(path) as reader:
        return reader.image_size


def _equal(found: list[Codes], wanted: list[Codes]) -> bool:
    pairs = zip(found, wanted, strict=True)
    return all(np.array_equal(a.flat, b.flat) for a, b in pairs)


def _same(found: list[ClassStreams], wanted: list[ClassStreams]) -> bool:
    pairs = zip(found, wanted, strict=True)
    return all(
        np.array_equal(a.top, b.top) and np.array_equal(a.bottom, b.bottom) for a, b in pairs
    )


def _all_true(found: dict[str, Any]) -> bool:
    rows = list(found.get("conditions", []))
    if isinstance(found["gpu"], dict):
        rows += [row for row in found["gpu"].values() if isinstance(row, dict) and "decoded" in row]
    others = ("one class alone", "other settings", "second process")
    every = [row["decoded"] and row["streams"] for row in rows]
    return all([*every, *(found.get(name, True) for name in others)])


if __name__ == "__main__":
    main()
