"""Entropy coding of the same codes, beside other coders: bits a code and codes a second, one run.

    python benchmarks/peers.py mem.drr --images 2000 -o benchmarks/results/NAME.json

- ours: the file's own entropy model, and our rANS alone with the plain table of each level;
- lzma (raw LZMA2, preset 9e) and zstd -19 (where `zstandard` is importable) on 16-bit codes, each
  level alone;
- an adaptive order-0 coder: what counts of the codes before would make of them;
- constriction (an rANS with a categorical table) and craystack (`PYTHONPATH` to a checkout), where
  they are importable, with the same static table.

All run on this machine's CPU, one after the other; what a coder decodes is compared with the codes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import lzma
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_by import made_by
from numpy.typing import NDArray

from drrpack.core import ans
from drrpack.core.arrays import Symbols
from drrpack.core.codes import Codes
from drrpack.core.frequencies import TABLE_PRECISION
from drrpack.core.layouts import lay_out
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec, read_codes

LANES = 64
# at its smallest, and told that codes are of two bytes
LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 1}]


@dataclass
class Row:
    """One coder: what it makes of all codes, and how fast."""

    name: str
    bits_per_code: float
    encoded_a_second: float | None  # codes
    decoded_a_second: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("memory", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    with Reader(given.memory) as reader:
        codec = load_codec(reader, torch.device("cpu"))
        classes, counts = [], 0
        while counts < given.images and len(classes) < len(reader.classes):
            classes.append(len(classes))
            counts += int(reader.images_per_class[len(classes) - 1])
        every = list(read_codes(reader, codec, classes).values())
    tables = {"top": codec.top.table, "bottom": codec.bottom.table}
    levels = {
        "top": np.concatenate([c.top.reshape(-1) for c in every]).astype(np.int64),
        "bottom": np.concatenate([c.bottom.reshape(-1) for c in every]).astype(np.int64),
    }
    rows = [ours(codec, every)]
    for name, coder in coders().items():
        print(name, flush=True)
        rows.append(row_of(name, coder, levels, tables))
    codes = sum(level.size for level in levels.values())
    found = {
        "images": counts,
        "codes": codes,
        "rows": [{**vars(row), **_by_image(row, codes / counts)} for row in rows],
        **made_by(),
    }
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["rows"], indent=1))


def _by_image(row: Row, codes: float) -> dict[str, float | None]:
    rates = {"images_encoded_a_second": row.encoded_a_second}
    rates["images_decoded_a_second"] = row.decoded_a_second
    return {name: None if rate is None else rate / codes for name, rate in rates.items()}


def ours(codec: Any, every: list[Codes]) -> Row:
    """The whole of it: networks, tables and rANS."""
    codec, _ = lay_out(codec, every)
    shape = every[0].top.shape[1:]
    start = time.perf_counter()
    made = codec.compress(every)  # which decodes, too
    both = time.perf_counter() - start
    start = time.perf_counter()
    found = codec.decompress(made, shape)
    decoding = time.perf_counter() - start
    assert all(np.array_equal(a.flat, b.flat) for a, b in zip(every, found, strict=True))
    codes = sum(c.flat.size for c in every)
    size = sum(32 * (len(s.top) + len(s.bottom)) for s in made)
    name = f"drrpack, {codec.entropy.kind}"
    return Row(name, size / codes, codes / max(1e-9, both - decoding), codes / decoding)


# A coder takes codes and a table of 512 frequencies, and gives bytes and what decodes them.
Coder = Callable[[Symbols, NDArray[np.uint32]], tuple[int, Callable[[], Symbols] | None]]


def row_of(name: str, coder: Coder, levels: dict[str, Symbols], tables: dict[str, Any]) -> Row:
    size, seconds, codes = 0, [0.0, 0.0], 0
    decodes = True
    for level, data in levels.items():
        start = time.perf_counter()
        made, decode = coder(data, tables[level])
        seconds[0] += time.perf_counter() - start
        size, codes = size + made, codes + data.size
        if decode is None:
            decodes = False
            continue
        start = time.perf_counter()
        found = decode()
        seconds[1] += time.perf_counter() - start
        assert np.array_equal(found, data), name
    rates = (codes / seconds[0], codes / seconds[1]) if decodes else (None, None)
    return Row(name, 8 * size / codes, *rates)


def coders() -> dict[str, Coder]:
    found: dict[str, Coder] = {
        "drrpack's rANS, static table": static,
        "adaptive order-0": adaptive,
        "lzma -9e": _lzma,
    }
    optional = {
        "zstd -19": ("zstandard", _zstd),
        "constriction, static table": ("constriction", _constriction),
        "craystack, static table": ("craystack", _craystack),
    }
    for name, (module, coder) in optional.items():
        try:
            importlib.import_module(module)
        except ImportError:
            print(f"{name}: {module} is not importable; left out")
            continue
        found[name] = coder
    return found


def static(data: Symbols, table: NDArray[np.uint32]) -> tuple[int, Callable[[], Symbols]]:
    padded = np.concatenate([data, np.zeros(-len(data) % LANES, np.int64)]).reshape(1, -1)
    codec = ans.table_codec(table, padded.shape[1], TABLE_PRECISION)
    message = codec.push(ans.empty(1, LANES), padded)
    words = ans.flatten(message)

    def decode() -> Symbols:
        _, found = codec.pop(ans.unflatten(words, LANES))
        return found.reshape(-1)[: len(data)]

    return 4 * len(words[0]), decode


def adaptive(data: Symbols, table: NDArray[np.uint32]) -> tuple[int, None]:
    """The ideal length: every code by the counts of those before it (Laplace), which no coder of
    this kind can beat; nothing is coded, so nothing is timed."""
    counts, bits = np.ones(len(table)), 0.0
    for start in range(0, len(data), 256):
        part = data[start : start + 256]
        bits -= float(np.log2(counts[part] / counts.sum()).sum())
        np.add.at(counts, part, 1.0)
    return round(bits / 8), None


def _lzma(data: Symbols, table: NDArray[np.uint32]) -> tuple[int, Callable[[], Symbols]]:
    told: dict[str, Any] = {"format": lzma.FORMAT_RAW, "filters": LZMA_FILTERS}
    packed = lzma.compress(data.astype("<u2").tobytes(), **told)
    return len(packed), lambda: _codes(lzma.decompress(packed, **told))


def _zstd(data: Symbols, table: NDArray[np.uint32]) -> tuple[int, Callable[[], Symbols]]:
    import zstandard

    packed = zstandard.ZstdCompressor(level=19).compress(data.astype("<u2").tobytes())
    return len(packed), lambda: _codes(zstandard.ZstdDecompressor().decompress(packed))


def _codes(data: bytes) -> Symbols:
    return np.frombuffer(data, "<u2").astype(np.int64)


def _constriction(data: Symbols, table: NDArray[np.uint32]) -> tuple[int, Callable[[], Symbols]]:
    import constriction

    p = table.astype(np.float32) / float(table.sum())
    model = constriction.stream.model.Categorical(p, perfect=False)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(data.astype(np.int32), model)
    words = coder.get_compressed()
    return 4 * len(
        words
    ), lambda: constriction.stream.stack.AnsCoder(words).decode(model, len(data)).astype(np.int64)


def _craystack(data: Symbols, table: NDArray[np.uint32]) -> tuple[int, Callable[[], Symbols]]:
    from craystack import rans

    padded = np.concatenate([data, np.zeros(-len(data) % LANES, np.int64)]).reshape(-1, LANES)
    starts = np.concatenate([[0], np.cumsum(table)]).astype(np.uint64)
    message = rans.base_message((LANES,))
    for row in padded[::-1]:
        start, length = starts[row], starts[row + 1] - starts[row]
        message = rans.push(message, start, length, TABLE_PRECISION)
    words = rans.flatten(message)

    def decode() -> Symbols:
        state, rows = rans.unflatten(words, (LANES,)), []
        for _ in padded:
            point, drop = rans.pop(state, TABLE_PRECISION)
            row = np.searchsorted(starts, point, side="right") - 1
            state = drop(starts[row], starts[row + 1] - starts[row])
            rows.append(row)
        return np.concatenate(rows)[: len(data)]

    return 4 * len(words), decode


if __name__ == "__main__":
    main()
