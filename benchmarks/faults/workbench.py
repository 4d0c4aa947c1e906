"""What the fault campaigns share: small files of real digits, and the commands that change them."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from made_by import made_by  # noqa: E402
from tiny_memory import TINY_WIDTHS, encode_tiny, write_digits  # noqa: E402

from drrpack.core import layouts  # noqa: E402
from drrpack.core.errors import MissingError  # noqa: E402
from drrpack.formats.container import Reader, write  # noqa: E402
from drrpack.formats.file_set import files_of  # noqa: E402
from drrpack.formats.files.publish import changing  # noqa: E402
from drrpack.operations import encode as encoding  # noqa: E402
from drrpack.operations.append import append  # noqa: E402
from drrpack.operations.edit import drop  # noqa: E402
from drrpack.operations.encode_plan import plan_encode  # noqa: E402
from drrpack.operations.encoding import pieces  # noqa: E402
from drrpack.operations.encoding.options import EncodeOptions  # noqa: E402
from drrpack.operations.recode import merged  # noqa: E402
from drrpack.operations.verify import verify  # noqa: E402
from drrpack.trainers.fitting.loop import Budget  # noqa: E402

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Bench:
    """Image folders and files to start from; each run gets copies of the files."""

    place: Path
    codec: Path  # a file of all ten digits, whose codec all others have
    folders: dict[str, Path]  # "first", "second", "third": digits 0-3, 4-5, 6-7

    def copies(self, place: Path) -> None:
        """``mem.drr`` of the first digits, ``other.drr`` of the second, and ``old-*.drr`` of the
        third."""
        place.mkdir(parents=True)
        for path in [self.place / "mem.drr", self.place / "other.drr", *self.place.glob("old-*")]:
            shutil.copy(path, place)


def make_bench(place: Path) -> Bench:
    torch.set_num_threads(1)
    layouts.WIDTHS = TINY_WIDTHS
    place.mkdir(parents=True, exist_ok=True)
    whole = write_digits(place / "digits", train=12, test=2)
    codec = encode_tiny(whole, place / "codec.drr", epochs=4)
    folders = {}
    for name, digits in (("first", "0123"), ("second", "45"), ("third", "67")):
        folders[name] = place / name
        for digit in digits:
            shutil.copytree(whole / "train" / digit, folders[name] / digit)
    bench = Bench(place, codec, folders)
    encode(bench, "first", place / "mem.drr")
    encode(bench, "second", place / "other.drr")
    encode(bench, "third", place / "old.drr", shard_bytes=_a_class(bench))
    return bench


def encode(bench: Bench, folder: str, output: Path, **more: Any) -> None:
    source, budget = bench.folders[folder], Budget(epochs=1)
    options = EncodeOptions(source, output, CPU, budget, codec=bench.codec, raw_per_class=2, **more)
    encoding.carry_out(plan_encode(options))


def _a_class(bench: Bench) -> int:
    """Bytes that have room for one class or for two."""
    sizes = [(bench.place / name).stat().st_size for name in ("mem.drr", "other.drr")]
    return sizes[1] - (sizes[0] - sizes[1]) // 4  # of four classes and of two


Change = Callable[[Bench, Path], None]


def _append(bench: Bench, place: Path) -> None:
    append(place / "mem.drr", bench.folders["third"], keep_entropy_model=True, device="cpu")


def _tune(bench: Bench, place: Path) -> None:
    append(place / "mem.drr", bench.folders["third"], epochs=1, device="cpu")


def _drop(bench: Bench, place: Path) -> None:
    path = place / "mem.drr"
    with changing(path):
        with Reader(path) as reader:
            content = reader.memory()
        write(path, drop(path, content, ["1", "2"]), overwrite=True)


def _merge(bench: Bench, place: Path) -> None:
    paths = [place / "mem.drr", place / "other.drr"]
    with Reader(paths[0]) as one, Reader(paths[1]) as two:
        content = merged([one, two], CPU).loaded()
    write(place / "new.drr", content)


# what is changed, by which command; encode and merge make a file that was not there
CHANGES: dict[str, tuple[str, Change]] = {
    "encode": ("new.drr", lambda bench, place: encode(bench, "third", place / "new.drr")),
    "append": ("mem.drr", _append),
    "append, tuned": ("mem.drr", _tune),
    "drop": ("mem.drr", _drop),
    "merge": ("new.drr", _merge),
}


def _in_parts(bench: Bench, place: Path) -> None:
    with small_parts():
        encode(bench, "first", place / "new.drr", force=True)


def _in_shards(bench: Bench, place: Path) -> None:
    with small_parts():
        encode(bench, "first", place / "new.drr", force=True, shard_bytes=_a_class(bench))


def _shards_anew(bench: Bench, place: Path) -> None:
    with small_parts():
        encode(bench, "first", place / "old.drr", force=True, shard_bytes=_a_class(bench))


@contextmanager
def small_parts() -> Iterator[None]:
    """Within it each class of twelve images is a part."""
    before, pieces.PART_PIXELS = pieces.PART_PIXELS, 12 * 32 * 32
    try:
        yield
    finally:
        pieces.PART_PIXELS = before


# the same for an encode whose parts stay after a fault, so that it goes on with them
STAGED: dict[str, tuple[str, Change]] = {
    "encode in parts": ("new.drr", _in_parts),
    "encode in shards": ("new-*.drr", _in_shards),
    "encode in shards that replace others": ("old-*.drr", _shards_anew),
}
INCOMPLETE = "some shards of a set"  # which every command refuses to read


def state_of(path: Path) -> str:
    """The fingerprints of files that are sound to their last streams, or that there are none."""
    if not list(path.parent.glob(path.name)):
        return "none"
    try:
        paths = files_of([path])
    except MissingError:
        return INCOMPLETE
    verify(paths, "full")
    prints = []
    for one in paths:
        with Reader(one) as reader:
            prints.append(reader.fingerprint)
    return " ".join(prints)


def states(
    bench: Bench, place: Path, changes: dict[str, tuple[str, Change]] | None = None
) -> dict[str, tuple[str, str]]:
    """What each change starts from, and what it ends with."""
    found = {}
    for name, (target, change) in (CHANGES if changes is None else changes).items():
        here = place / name.replace(", ", "-")
        bench.copies(here)
        before = state_of(here / target)
        change(bench, here)
        found[name] = before, state_of(here / target)
        shutil.rmtree(here)
    return found


def report(content: dict[str, Any], output: Path | None) -> None:
    text = json.dumps({**content, **made_by()}, indent=1)
    print(text)
    if output is not None:
        output.write_text(text + "\n")


def parser(description: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description)
    made.add_argument("-o", "--output", type=Path, help="JSON of the figures")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--staged", action="store_true", help="an encode in parts and in shards")
    return made
