"""Truncation, trailing junk and flipped bits: what is damaged is always noticed.

    python benchmarks/faults/damage.py --large mem.drr -o benchmarks/results/faults-damage.json

Of a small file: cut at every byte, junk of 1 to 4,096 bytes behind it, one bit of every byte
flipped. Of a large one: bits sampled at random. Each damaged file must fail `verify --full` by a
named error, and reading the streams that lie at the damage must give an error or the right bytes.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench import make_bench, parser, report

from drrpack.core.codes import LEVELS
from drrpack.core.errors import DrrError
from drrpack.formats.container import Reader
from drrpack.operations.verify import verify


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--large", type=Path, required=True)
    arguments.add_argument("--flips", type=int, default=100_000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_bench(place / "bench")
        small, large = place / "bench" / "mem.drr", place / "large.drr"
        shutil.copy(given.large, large)
        found = {
            "small file, bytes": small.stat().st_size,
            "cut at every byte": _cuts(small),
            "junk behind it": _junk(small),
            "one bit of every byte flipped": _flips(small, range(small.stat().st_size), given.seed),
        }
        chance = random.Random(given.seed)
        places = (chance.randrange(large.stat().st_size) for _ in range(given.flips))
        found["large file, bytes"] = large.stat().st_size
        found["bits sampled in it"] = _flips(large, places, given.seed)
    report(found, given.output)


def _noticed(path: Path) -> bool:
    try:
        verify(path, "full")
    except DrrError as error:
        assert str(path) in str(error)
        return True
    return False


def _cuts(path: Path) -> dict[str, int]:
    image, tried, missed = path.read_bytes(), 0, 0
    cut = path.with_name("cut.drr")
    cut.write_bytes(image)
    for size in range(len(image) - 1, -1, -1):
        os.truncate(cut, size)
        tried, missed = tried + 1, missed + (not _noticed(cut))
    return {"tried": tried, "missed": missed}


def _junk(path: Path) -> dict[str, int]:
    image, tried, missed = path.read_bytes(), 0, 0
    longer = path.with_name("longer.drr")
    for size in range(1, 4097):
        longer.write_bytes(image + os.urandom(size))
        tried, missed = tried + 1, missed + (not _noticed(longer))
    return {"tried": tried, "missed": missed}


def _flips(path: Path, places: Iterator[int] | range, seed: int) -> dict[str, int]:
    """One bit at each of some places; `verify` and a lazy read of what lies there."""
    chance, tried, missed, wrong = random.Random(seed), 0, 0, 0
    with Reader(path) as reader:
        records = _records(reader)
    image = path.read_bytes()
    for place in places:
        with _flipped(path, place, chance.randrange(8)):
            tried += 1
            missed += not _noticed(path)
            wrong += not _lazily_right(path, records, place, image)
    return {"tried": tried, "missed": missed, "wrong bytes from a lazy read": wrong}


def _records(reader: Reader) -> list[tuple[int, int, int, str]]:
    """Start and end in the file, row and level of every stream."""
    base = reader.structure.extents["streams"].offset
    found = []
    for number, row in enumerate(reader.index):
        start = base + int(row["offset"])
        for level in LEVELS:
            end = start + int(row[f"{level}_bytes"])
            found.append((start, end, number, level))
            start = end
    return found


def _lazily_right(
    path: Path, records: list[tuple[int, int, int, str]], place: int, image: bytes
) -> bool:
    hit = [record for record in records if record[0] <= place < record[1]] or records[:1]
    try:
        with Reader(path) as reader:
            return all(
                reader.stream(row, level) == image[start:end] for start, end, row, level in hit
            )
    except DrrError:
        return True


@contextmanager
def _flipped(path: Path, place: int, bit: int) -> Iterator[None]:
    with open(path, "r+b", buffering=0) as file:
        (byte,) = os.pread(file.fileno(), 1, place)
        os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
        try:
            yield
        finally:
            os.pwrite(file.fileno(), bytes([byte]), place)


if __name__ == "__main__":
    main()
