"""What the latents of the shipped Bit-Swap carry, and how fast it codes beside the context model.

    python benchmarks/latents.py mem.drr -o benchmarks/results/latents.json

``mem.drr`` holds codes of the VQ-VAE that comes with drrpack, by whatever entropy model. For each
level: the order-0 entropy of its codes, what Bit-Swap takes (the negative ELBO), how much of that
goes to codes given their image's own latents and given those of another image, and what the
context model takes. Then both models code the same images and decode them, on one thread, in turns;
the fastest of three turns counts.
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
from torch import Tensor

from drrpack.core import streams
from drrpack.core.codec import Codec
from drrpack.core.codes import LEVELS, Codes, LevelName
from drrpack.core.entropy.bitswap import BitSwapLevel
from drrpack.core.entropy.latents import sample
from drrpack.core.families import SMALL
from drrpack.core.frequencies import frequency_tables
from drrpack.core.layouts import lay_out
from drrpack.formats import shipped
from drrpack.formats.container import Reader
from drrpack.formats.memory import load_codec, read_codes

CPU = torch.device("cpu")
BATCH, TURNS = 250, 3
CODED = 20  # classes that speed is measured on, the last ones
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("memory", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with Reader(given.memory) as reader:
        classes = read_codes(reader, load_codec(reader, CPU), range(len(reader.classes)))
    codecs = {codec.entropy.kind: codec for codec in shipped_codecs()}
    every = Codes.concat([*classes.values()])
    found = {
        "images": len(every),
        "model bytes": {kind: len(codec.entropy.pack()[1]) for kind, codec in codecs.items()},
        "bits a code": {level: bits(codecs, every, level) for level in LEVELS},
    }
    last = [*classes.values()][-CODED:]
    found["coding"] = speeds(codecs, last)
    given.output.write_text(json.dumps({**found, **made_by()}, indent=1) + "\n")
    print(given.output.read_text())


def shipped_codecs() -> list[Codec]:
    codecs = []
    for path in shipped.paths(SMALL):
        with Reader(path) as reader:
            codecs.append(load_codec(reader, CPU))
    return codecs


@torch.no_grad()
def bits(codecs: dict[str, Codec], codes: Codes, name: LevelName) -> dict[str, float]:
    """Means over all codes of one level; what latents take is divided among these as well."""
    latents, context = (codecs[kind].entropy.levels[name] for kind in ("bitswap", "context"))
    assert isinstance(latents, BitSwapLevel)
    generator = torch.Generator().manual_seed(0)
    sums, grids = dict[str, float](), codes[name].astype(np.int64)
    for start in range(0, len(grids), BATCH):
        part = torch.from_numpy(grids[start : start + BATCH])
        top = torch.from_numpy(codes.top[start : start + BATCH].astype(np.int64))
        above = None if name == "top" else top
        own, others = given_latents(latents, part, above, generator)
        of_batch = {
            "Bit-Swap": latents.expected_bits(part, above, generator),
            "codes given their own latents": own,
            "codes given another image's": others,
            "context": context.expected_bits(part, above, generator),
        }
        for what, spent in of_batch.items():
            sums[what] = sums.get(what, 0.0) + float(spent.double().sum())
    shares = np.bincount(grids.reshape(-1)) / grids.size
    order0 = -float((shares * np.log2(np.maximum(shares, 1e-300))).sum())
    means = {what: value / grids.size for what, value in sums.items()}
    return {what: round(value, 4) for what, value in {"order-0": order0, **means}.items()}


def given_latents(
    level: BitSwapLevel, codes: Tensor, above: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Bits of codes given the first latent that they draw, and given that of the next image."""
    context = level.contexts(above)[0]
    latent = sample(*level.posterior(0, codes, context), generator)
    own = level.code_bits(codes, latent, context, generator)
    return own, level.code_bits(codes, latent.roll(1, 0), context, generator)


def speeds(codecs: dict[str, Codec], classes: list[Codes]) -> Json:
    """Images a second, and bits of a code as they are stored."""
    images = sum(len(codes) for codes in classes)
    seen = Codes.concat(classes)
    turns: dict[str, list[Json]] = {kind: [] for kind in codecs}
    for _ in range(TURNS):
        for kind, codec in codecs.items():
            tables = frequency_tables(seen, codec.entropy.codebook_size)
            codec = replace(codec, entropy=codec.entropy.with_tables(tables))
            codec, made = lay_out(codec, classes)
            tops, bottoms = [codes.top for codes in classes], [codes.bottom for codes in classes]
            start = time.process_time()
            streams.encode(codec.top, tops, None)
            streams.encode(codec.bottom, bottoms, tops)
            between = time.process_time()
            again = codec.decompress(made, seen.top_shape)
            end = time.process_time()
            if any(a.digest != b.digest for a, b in zip(again, classes, strict=True)):
                raise SystemExit(f"{kind} does not give the codes back")
            size = sum(s.top.nbytes + s.bottom.nbytes for s in made)
            turn = {"coded": images / (between - start), "decoded": images / (end - between)}
            turns[kind].append({**turn, "size": size / (seen.top.size + seen.bottom.size)})
    best = {
        kind: {
            **{what: round(max(turn[what] for turn in rows)) for what in ("coded", "decoded")},
            "bits a code": round(8 * rows[0]["size"], 4),
        }
        for kind, rows in turns.items()
    }
    return {"images": images, "images a CPU second": best}


if __name__ == "__main__":
    main()
