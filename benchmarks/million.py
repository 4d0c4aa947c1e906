"""Make a memory of a million images, verify it and read it once; what that takes.

    python benchmarks/million.py FOLDER WORK -o benchmarks/results/million.json

FOLDER is an image folder. Its pictures stand in one Parquet file in WORK as often as ``--times``
says, each time under other names of classes, as PPM, which takes least time to read. Then `drrpack
encode`, `drrpack verify --full` and one pass of a `DataLoader` with a worker, in the order of a
`ChunkSampler`, run in processes of their own, one after the other. A killed run goes on: what an
earlier one has measured stays in the output, and `encode` takes over the parts that are there. The
peak of a process is what the system tells (``ru_maxrss`` of `os.wait4`).

With ``--table MEMORY`` streams are coded by a table of frequencies in the place of a network, which
takes a small part of the time.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

from child import measured
from PIL import Image

TIMES = 20
BATCH = 256
CODES_BYTES = 16 << 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--codec", type=Path, help="of this file, not the one that comes along")
    parser.add_argument("--table", type=Path, help="the VQ-VAE of this memory, and a table")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--read", action="store_true", help="what a child process does")
    given = parser.parse_args()
    if given.read:
        read(given.work)
        return
    table, memory = given.work / "images.parquet", given.work / "million.drr"
    found: dict[str, Any] = json.loads(given.output.read_text()) if given.output.exists() else {}
    if not table.exists():
        found["images"] = write_table(given.folder, table, given.times)
    codec = [] if given.codec is None else ["--codec", str(given.codec)]
    if given.table is not None:
        codec = ["--codec", str(given.work / "codec.drr")]
        write_codec(given.table, given.work / "codec.drr")
    drrpack = ["-m", "drrpack"]
    steps = {
        "encode": [*drrpack, "encode", str(table), "-o", str(memory), *codec],
        "verify --full": [*drrpack, "verify", str(memory), "--full"],
        "epoch": [__file__, str(given.folder), str(memory), "--read", "-o", "-"],
    }
    for name, command in steps.items():
        if name not in found:
            found[name] = measured(*command)
            save(given.output, found)
    found["file_bytes"] = memory.stat().st_size
    save(given.output, found)
    print(given.output.read_text())


def save(path: Path, found: dict[str, Any]) -> None:
    from made_by import made_by

    path.write_text(json.dumps({**found, **made_by()}, indent=1) + "\n")


def write_table(folder: Path, path: Path, times: int) -> int:
    """One row for each file, sorted by class, as a data set on a hub may be; returns how many."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema([("image", pyarrow.binary()), ("label", pyarrow.string())])
    hidden, count = path.with_suffix(".part"), 0
    with ParquetWriter(hidden, schema, compression="none") as writer:
        for of_class in sorted(one for one in folder.iterdir() if one.is_dir()):
            images = [ppm(file) for file in sorted(of_class.iterdir())]
            for number in range(times):
                names = [f"{of_class.name}-{number:02}"] * len(images)
                writer.write_table(pyarrow.table([images, names], schema=schema))
                count += len(images)
    hidden.rename(path)
    return count


def write_codec(memory: Path, path: Path) -> None:
    """A small file whose codec has the VQ-VAE of another, and codes by their frequencies there."""
    import torch

    from drrpack.core.codec import finish
    from drrpack.core.codes import Codes
    from drrpack.core.entropy.table import TableModel
    from drrpack.core.layouts import lay_out
    from drrpack.formats.container import Memory, Reader, write
    from drrpack.formats.memory import chunk, load_codec, read_codes, sections

    with Reader(memory) as reader:
        codec = load_codec(reader, torch.device("cpu"), encoder=True)
        codes = read_codes(reader, codec, range(len(reader.classes)))
        size = reader.image_size
    seen = Codes.concat([*codes.values()])
    table = TableModel.fitted(seen, codec.vqvae.config.codebook_size)
    made, streams = lay_out(finish(codec.vqvae, table, seen, torch.device("cpu")), [codes[0]])
    content = Memory(size, ["0"], [chunk(0, streams[0])], *sections(made))
    write(path, content, overwrite=True)


def ppm(path: Path) -> bytes:
    out = io.BytesIO()
    Image.open(path).convert("RGB").save(out, "PPM")
    return out.getvalue()


def read(path: Path) -> None:
    """One pass over all images."""
    from torch.utils.data import DataLoader

    import drrpack

    memory = drrpack.DRRDataset(path, cache_bytes=0, codes_bytes=CODES_BYTES)
    loader = DataLoader(memory, BATCH, sampler=drrpack.ChunkSampler(memory, seed=0), num_workers=1)
    labels = 0
    images = 0
    for pixels, of_batch in loader:
        images, labels = images + len(pixels), labels + int(of_batch.sum())
    assert images == len(memory)
    assert labels == sum(memory.targets)


if __name__ == "__main__":
    main()
