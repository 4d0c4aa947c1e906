"""A sample of the mutants that the campaign in ``benchmarks/faults`` goes through."""

from __future__ import annotations

import collections
from pathlib import Path

import h5py
import pytest
from drr_children import run_child
from mutants import KINDS, lookup3, metadata_blocks, mutant, seedlings, write_tiny

from drrpack.formats.container import Reader

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.drr"
    write_tiny(path)
    return path


def test_the_checksum_is_hdf5s(tiny: Path) -> None:
    """Of every object header that libhdf5 has written, or mutants would all end at a checksum."""
    image = tiny.read_bytes()
    blocks = metadata_blocks(image)
    with h5py.File(tiny) as file:
        objects = [file]
        file.visititems(lambda _, item: objects.append(item))
    assert len(blocks) >= 1 + len(objects)
    for start, end in blocks:
        assert lookup3(image[start:end]) == int.from_bytes(image[end : end + 4], "little")


def test_mutants_get_far(tiny: Path, tmp_path: Path) -> None:
    """Some of every kind must pass the checksums, or the campaign tests nothing but these."""
    seeds, path = seedlings(tmp_path), tmp_path / "mutant.drr"
    opened: collections.Counter[str] = collections.Counter()
    for number in range(400):
        path.write_bytes(mutant(seeds, 1, number))
        assert mutant(seeds, 1, number) == path.read_bytes()
        try:
            Reader(path).close()
        except Exception:
            continue
        opened[KINDS[number % len(KINDS)]] += 1
    assert min(opened[kind] for kind in ("structure", "content", "rebuilt")) >= 5


@pytest.mark.slow
def test_two_thousand_mutants(tiny: Path, tmp_path: Path) -> None:
    status, output, errors = run_child("fuzz", tiny, tmp_path / "mutant.drr", "2000", timeout=280)
    assert status == 0, output + errors
    assert sum(map(int, output.split()[1::2])) == 2000
