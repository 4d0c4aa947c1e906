"""From disk to batches: `DRRDataset` beside other readers, in one run on the same images.

    python benchmarks/readers.py mem.drr images/ -o benchmarks/results/readers.json

``images/`` is the folder that ``mem.drr`` was made from: a folder for each class. WebDataset,
LitData and MosaicML Streaming take part where they can be imported. Every reader delivers shuffled
batches of 128 uint8 images and labels. Each is measured in its own processes, in turns with the
others, three times, and once with workers:

- "import": seconds until its library, torch included, is imported.
- "first batch": seconds to the first batch once the file or folder is open; with workers the codes
  of a memory have been decoded by then.
- "first epoch", "second epoch": images a second, in wall time and in CPU time of the process. The
  core is shared with other work, so the CPU time says more. With workers there is only wall time.

The files have been read before, so they come from the system's cache. JPEG pictures have quality
90. They are decoded by Pillow or by torchvision, whichever is faster here. "raw" stands for pixels
that are stored as they are. "DRRDataset" keeps pixels, as by default; with ``cache_bytes=0`` it
decodes them in each epoch from codes in memory.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

BATCH, WORKERS, JPEG_QUALITY = 128, 2, 90
SHUFFLE_BUFFER = 2000  # images, of WebDataset

Loader = Iterable[Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("memory", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--reader", choices=READERS, help="what a child process measures")
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    if given.reader is not None:
        print(json.dumps(measure(given.reader, given.memory, given.workers)))
        return
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sizes = prepare(given.memory, given.images, Path(folder))
        for workers in (0, 0, WORKERS, 0):
            for name in sizes:
                found = child(name, Path(folder), workers)
                print(workers, name, found, flush=True)
                runs.setdefault(f"{name}; {workers} workers", []).append(found)
            save(runs, sizes, given.output)


def child(name: str, folder: Path, workers: int) -> dict[str, float]:
    """The figures of one reader, from a process of its own."""
    command = [sys.executable, __file__, str(folder / PLACES[name]), ".", "--reader", name]
    done = subprocess.run([*command, "--workers", str(workers)], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def save(runs: dict[str, Any], sizes: dict[str, int], output: Path | None) -> None:
    """Write the median, the least and the largest of each figure."""
    from made_by import made_by

    figures = {
        name: {
            figure: [round(pick(run[figure] for run in done), 3) for pick in (median, min, max)]
            for figure in done[0]
        }
        for name, done in runs.items()
    }
    repeats = {name: len(done) for name, done in runs.items()}
    found = {"median, least, most": figures, "repeats": repeats, "bytes": sizes, **made_by()}
    if output is not None:
        output.write_text(json.dumps(found, indent=1) + "\n")


def measure(name: str, place: Path, workers: int) -> dict[str, float]:
    """One reader in this process; what it imports is imported here for the first time."""
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    open_it = READERS[name]()
    imported = time.perf_counter()
    loader = open_it(place, workers)
    epochs = [_epoch(loader, number) for number in range(2)]
    return {
        "import, s": imported - start,
        "first batch, s": epochs[0]["until first, s"],
        **{
            f"{which} epoch, images/{kind}": epoch["images"] / epoch[kind]
            for which, epoch in zip(("first", "second"), epochs, strict=True)
            for kind in (("s",) if workers else ("s", "CPU s"))
        },
    }


def _epoch(loader: Loader, number: int) -> dict[str, float]:
    sampler = getattr(loader, "sampler", None)
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(number)
    start, cpu, images, first = time.perf_counter(), time.process_time(), 0, 0.0
    for batch, labels in loader:
        first = first or time.perf_counter() - start
        assert batch.shape[1:] == (3, 32, 32) and str(batch.dtype) == "torch.uint8"
        images += len(labels)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"images": images, "until first, s": first, "s": seconds, "CPU s": cpu}


# --- the same images in each format; returns the bytes of each on the disk -----------------------


def prepare(memory: Path, images: Path, folder: Path) -> dict[str, int]:
    """Write all formats into a folder; the bytes of each that can be read here."""
    from drrpack.formats.sources.source import open_source

    source = open_source(images)
    pixels = [
        (label, image) for label in range(len(source.classes)) for image in source.load(label)
    ]
    (folder / "mem.drr").write_bytes(memory.read_bytes())
    for kind in ("png", "jpg"):
        _folder(pixels, folder / kind, kind)
    _tars(pixels, folder / "tars", "jpg")
    made = [name for name in READERS if name.startswith(("DRR", "ImageFolder"))]
    made += ["WebDataset, jpg"] if find_spec("webdataset") else []
    for name, write in (("LitData", _litdata), ("MosaicML", _mosaicml)):
        try:
            write(pixels, folder / PLACES[f"{name}, raw"])
            made.append(f"{name}, raw")
        except ImportError as error:
            print(f"without {name}: {error}")
    return {name: _bytes(folder / PLACES[name]) for name in made}


def _bytes(place: Path) -> int:
    files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
    return sum(path.stat().st_size for path in files)


def _encoded(image: Any, kind: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    options = {"quality": JPEG_QUALITY} if kind == "jpg" else {}
    Image.fromarray(image).save(out, {"jpg": "JPEG", "png": "PNG"}[kind], **options)
    return out.getvalue()


def _folder(pixels: list[Any], place: Path, kind: str) -> None:
    for number, (label, image) in enumerate(pixels):
        path = place / f"{label:03}" / f"{number:06}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encoded(image, kind))


def _tars(pixels: list[Any], place: Path, kind: str) -> None:
    """A shard for each worker, shuffled, as WebDataset's documentation advises."""
    place.mkdir()
    shuffled = list(enumerate(pixels))
    random.Random(0).shuffle(shuffled)
    for shard in range(WORKERS):
        with tarfile.open(place / f"{shard}.tar", "w") as tar:
            for number, (label, image) in shuffled[shard::WORKERS]:
                for suffix, data in ((kind, _encoded(image, kind)), ("cls", str(label).encode())):
                    info = tarfile.TarInfo(f"{number:06}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))


def _litdata(pixels: list[Any], place: Path) -> None:
    import litdata
    import torch

    writer = litdata.streaming.writer.BinaryWriter(str(place), chunk_bytes="16MB")
    for number, (label, image) in enumerate(pixels):
        channels_first = torch.from_numpy(image.transpose(2, 0, 1).copy())
        writer.add_item(number, (channels_first, torch.tensor(label)))
    writer.done()
    writer.merge()


def _mosaicml(pixels: list[Any], place: Path) -> None:
    from streaming import MDSWriter

    columns = {"x": "ndarray:uint8:3,32,32", "y": "int"}
    with MDSWriter(out=str(place), columns=columns, size_limit="16mb") as writer:
        for label, image in pixels:
            writer.write({"x": image.transpose(2, 0, 1).copy(), "y": label})


# --- readers: each imports its library, and returns how to open a file or folder ------------------

Open = Callable[[Path, int], Loader]


def _decoder() -> Callable[[bytes], Any]:
    """From an encoded picture to uint8 (3, H, W): by Pillow or by torchvision, the faster one."""
    import numpy as np
    import torch
    from PIL import Image
    from torchvision.io import ImageReadMode, decode_image

    def by_pillow(data: bytes) -> Any:
        with Image.open(io.BytesIO(data)) as picture:
            return torch.from_numpy(np.array(picture.convert("RGB")).transpose(2, 0, 1).copy())

    def by_torchvision(data: bytes) -> Any:
        return decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)

    sample = _encoded(np.zeros((32, 32, 3), np.uint8), "jpg")
    times = {}
    for decode in (by_pillow, by_torchvision):
        start = time.process_time()
        for _ in range(300):
            decode(sample)
        times[time.process_time() - start] = decode
    return times[min(times)]


def _drr(**options: Any) -> Callable[[], Open]:
    def load() -> Open:
        from torch.utils.data import DataLoader

        from drrpack import DRRDataset

        def open_it(place: Path, workers: int) -> Loader:
            memory = DRRDataset(place, **options)
            if workers:
                memory.preload()
            return DataLoader(memory, BATCH, shuffle=True, num_workers=workers)

        return open_it

    return load


def _image_folder() -> Open:
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    decode = _decoder()

    def open_it(place: Path, workers: int) -> Loader:
        images = ImageFolder(place, loader=lambda path: decode(Path(path).read_bytes()))
        return DataLoader(images, BATCH, shuffle=True, num_workers=workers)

    return open_it


def _webdataset() -> Open:
    import torch
    import webdataset
    from torch.utils.data import DataLoader

    decode = _decoder()

    def together(samples: list[Any]) -> tuple[Any, Any]:
        images, labels = zip(*samples, strict=True)
        return torch.stack([*map(decode, images)]), torch.tensor([*map(int, labels)])

    def open_it(place: Path, workers: int) -> Loader:
        tars = [str(path) for path in sorted(place.glob("*.tar"))]
        shards = webdataset.WebDataset(tars, shardshuffle=len(tars), empty_check=False)
        samples = shards.shuffle(SHUFFLE_BUFFER).to_tuple("jpg", "cls")
        batches = samples.batched(BATCH, collation_fn=together)
        return DataLoader(batches, batch_size=None, num_workers=workers)

    return open_it


def _litdata_reader() -> Open:
    import litdata

    def open_it(place: Path, workers: int) -> Loader:
        images = litdata.StreamingDataset(str(place), shuffle=True, drop_last=False)
        return litdata.StreamingDataLoader(images, batch_size=BATCH, num_workers=workers)

    return open_it


def _mosaicml_reader() -> Open:
    import torch
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader

    class Pictures(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> Any:
            item = super().__getitem__(index)
            return torch.from_numpy(item["x"]), item["y"]

    def open_it(place: Path, workers: int) -> Loader:
        images = Pictures(local=str(place), shuffle=True, batch_size=BATCH)
        return DataLoader(images, BATCH, num_workers=workers)

    return open_it


READERS: dict[str, Callable[[], Open]] = {
    "DRRDataset": _drr(),
    "DRRDataset, cache_bytes=0": _drr(cache_bytes=0),
    "ImageFolder, png": _image_folder,
    "ImageFolder, jpg": _image_folder,
    "WebDataset, jpg": _webdataset,
    "LitData, raw": _litdata_reader,
    "MosaicML, raw": _mosaicml_reader,
}
PLACES = {
    "DRRDataset": "mem.drr",
    "DRRDataset, cache_bytes=0": "mem.drr",
    "ImageFolder, png": "png",
    "ImageFolder, jpg": "jpg",
    "WebDataset, jpg": "tars",
    "LitData, raw": "litdata",
    "MosaicML, raw": "mosaicml",
}
if __name__ == "__main__":
    main()
