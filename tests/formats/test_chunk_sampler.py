"""`ChunkSampler`: every item once, each chunk read once, and how well it shuffles."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, DistributedSampler

from drrpack import ChunkSampler, DRRDataset, OptionError

pytestmark = pytest.mark.usefixtures("one_thread")

CLASS_BYTES = 30 * 160


@pytest.fixture(scope="module")
def memory(bitswap_drr: Path) -> DRRDataset:
    return DRRDataset(bitswap_drr, classes=range(7))


@given(
    window=st.integers(1, 9),
    replicas=st.integers(1, 6),
    epoch=st.integers(0, 3),
    drop=st.booleans(),
)
def test_every_item_once(
    memory: DRRDataset, window: int, replicas: int, epoch: int, drop: bool
) -> None:
    orders = []
    for rank in range(replicas):
        sampler = ChunkSampler(
            memory, window=window, num_replicas=replicas, rank=rank, drop_last=drop
        )
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert len(sampler) == len(orders[-1]) == (210 // replicas if drop else -(-210 // replicas))
    times = Counter(item for order in orders for item in order)
    if drop:
        assert max(times.values()) == 1 and 210 - len(times) < replicas
    else:
        assert set(times) == set(range(210)) and sum(times.values()) - 210 < replicas


def test_epochs_and_seeds_differ(memory: DRRDataset) -> None:
    sampler, other = ChunkSampler(memory, window=2), ChunkSampler(memory, window=2, seed=1)
    first = list(sampler)
    assert first == list(sampler) != list(other)
    sampler.set_epoch(1)
    assert list(sampler) != first and sorted(sampler) == sorted(first)


def test_windows_hold_whole_chunks(memory: DRRDataset) -> None:
    labels = np.array(list(ChunkSampler(memory, window=3))) // 30
    windows = np.split(labels, [90, 150])  # seven chunks in three windows of nearly one size
    assert [len(set(window)) for window in windows] == [3, 2, 2]
    assert len(set(labels[:30])) == 3, "they are mixed"


def test_a_window_of_all_is_a_plain_shuffle(memory: DRRDataset) -> None:
    """Where an item comes does not depend on its chunk: chi-squared of labels in the first half."""
    counts = np.zeros(7)
    sampler = ChunkSampler(memory)
    for epoch in range(40):
        sampler.set_epoch(epoch)
        counts += np.bincount(np.array(list(sampler)[:105]) // 30, minlength=7)
    expected = 40 * 105 / 7
    assert ((counts - expected) ** 2 / (expected / 2)).sum() < 22.5  # p = 0.001 of 6 degrees


def test_each_chunk_is_read_once_an_epoch(
    bitswap_drr: Path, streams_read: list[tuple[int, str]]
) -> None:
    memory = DRRDataset(bitswap_drr, cache_bytes=0, codes_bytes=3 * CLASS_BYTES)
    seen = []
    for images, labels in DataLoader(memory, 32, sampler=ChunkSampler(memory)):
        seen += labels.tolist()
        assert images.shape[1:] == (3, 32, 32) and memory.stored.kept_bytes <= 3 * CLASS_BYTES
    assert Counter(seen) == dict.fromkeys(range(10), 30)
    assert len(streams_read) == len(set(streams_read)) == 20


def test_replicas_read_different_chunks(memory: DRRDataset) -> None:
    chunks = []
    for rank in range(2):
        items = list(ChunkSampler(memory, window=2, num_replicas=2, rank=rank))
        chunks.append(set(np.array(items) // 30))
    assert len(chunks[0] & chunks[1]) <= 1 and len(chunks[0] | chunks[1]) == 7


def test_it_takes_part_in_what_knows_distributed_samplers(memory: DRRDataset) -> None:
    sampler = ChunkSampler(memory)
    assert isinstance(sampler, DistributedSampler)
    assert (sampler.num_replicas, sampler.rank) == (1, 0)
    plain = DistributedSampler(memory, num_replicas=2, rank=1)
    assert sum(len(labels) for _, labels in DataLoader(memory, 32, sampler=plain)) == 105


def test_pairs_and_empty_datasets(digits_drr: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from drr_files import read_all

    from drrpack.formats.container import write
    from drrpack.formats.raw import pack

    raw = pack(2, [3, 8], np.zeros((2, 32, 32, 3), np.uint8)) + pack(
        5, [0], np.zeros((1, 32, 32, 3), np.uint8)
    )
    write(tmp_path / "raw.drr", replace(read_all(digits_drr), raw=raw))
    pairs = DRRDataset(tmp_path / "raw.drr", raw="pairs")
    assert sorted(ChunkSampler(pairs, window=1)) == [0, 1, 2]
    assert list(ChunkSampler(DRRDataset(digits_drr, classes=[]))) == []


@pytest.mark.parametrize("window", [0, -1, 1.5, True])
def test_what_is_no_window(memory: DRRDataset, window: object) -> None:
    with pytest.raises(OptionError, match="say a whole number above 0"):
        ChunkSampler(memory, window=window)  # type: ignore[arg-type]


def test_what_is_no_memory() -> None:
    with pytest.raises(OptionError, match="found Subset, expected a DRRDataset"):
        ChunkSampler(torch.utils.data.Subset([1, 2], [0]))  # type: ignore[arg-type]
