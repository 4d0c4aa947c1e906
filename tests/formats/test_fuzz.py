"""A sample of the mutants that the campaign in ``benchmarks/faults`` goes through."""

from __future__ import annotations

import collections
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from drr_children import run_child
from mutants import (
    KINDS,
    MEMORY_SLACK,
    Meter,
    Taken,
    lookup3,
    metadata_blocks,
    mutant,
    seedlings,
    sound_costs,
    write_tiny,
)

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


def test_memory_is_measured_whoever_asks_for_it() -> None:
    """And also where nothing is written into it, which a limit on what is resident would miss."""
    size = 64 << 20
    with Meter() as nothing:
        pass
    with Meter() as by_numpy:
        np.empty(size, np.uint8)
    with Meter() as by_torch:
        torch.ones(size, dtype=torch.uint8)
    with Meter() as again:
        torch.ones(size, dtype=torch.uint8)
    assert max(nothing.taken.traced, nothing.taken.resident) < 1 << 20
    assert by_numpy.taken.traced >= size
    assert min(by_torch.taken.resident, again.taken.resident) > 0.9 * size
    sound = Taken(1 << 20, 1 << 20, 0.1)
    assert nothing.taken.share_of(sound) < 0.1
    assert min(each.taken.share_of(sound) for each in (by_numpy, by_torch, again)) > 1


def test_what_sound_files_take(tiny: Path, tmp_path: Path) -> None:
    """All of them are decoded for it, and none needs more than what its mutants are allowed."""
    seeds = seedlings(tmp_path)
    costs = sound_costs(seeds, tmp_path / "sound.drr")
    assert [*costs] == ["bitswap.drr", "context.drr", "latents.drr", "first.drr", "adapted.drr"]
    assert all(0.1 * len(s.image) < costs[s.name].traced < MEMORY_SLACK for s in seeds)


@pytest.mark.slow
def test_two_thousand_mutants(tiny: Path, tmp_path: Path) -> None:
    status, output, errors = run_child("fuzz", tiny, tmp_path / "mutant.drr", "2000", timeout=280)
    assert status == 0, output + errors
    assert sum(map(int, output.split()[1::2])) == 2000
