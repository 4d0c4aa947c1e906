"""Codes in memory up to a bound: what is kept, what is read again, and that it is always right."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drr_files import read_all
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from drrpack import DRRDataset, OptionError
from drrpack.formats.container import Reader, write
from drrpack.formats.file_set import open_files
from drrpack.formats.memory import chunk, load_codec, read_codes
from drrpack.formats.stored_images import StoredImages

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

IMAGE_BYTES = 2 * (4 * 4 + 8 * 8)  # of the codes of an image of 32x32, by docs/format.md
CLASS_BYTES = 30 * IMAGE_BYTES


def held(dataset: DRRDataset) -> int:
    """The bytes of all arrays of codes in memory."""
    return sum(grid.nbytes for codes in dataset.stored._kept.values() for grid in codes.grids)


@pytest.mark.parametrize("bound", [CLASS_BYTES, 3 * CLASS_BYTES + 7, 10 * CLASS_BYTES, None])
def test_the_bound_holds_and_changes_nothing(bitswap_drr: Path, bound: int | None) -> None:
    expected = DRRDataset(bitswap_drr).to_numpy()[0]
    dataset = DRRDataset(bitswap_drr, cache_bytes=0, codes_bytes=bound)
    order = np.random.default_rng(0)
    for _ in range(2):
        where = order.integers(0, 300, 6)
        np.testing.assert_array_equal(dataset.pixels(where), expected[where])
        assert held(dataset) == dataset.stored.kept_bytes
        assert bound is None or held(dataset) <= bound
    assert held(dataset) >= min(3 * CLASS_BYTES, bound or 10**9) // CLASS_BYTES * CLASS_BYTES


def test_a_chunk_whose_codes_take_gigabytes(bitswap_drr: Path, tmp_path: Path) -> None:
    content = read_all(bitswap_drr)
    chunks = [replace(one, images=20_000_000) for one in content.chunks[:2]]
    write(tmp_path / "large.drr", replace(content, chunks=chunks))
    stored = StoredImages(open_files(tmp_path / "large.drr"), [0, 1], torch.device("cpu"), 2**30)
    assert stored.all_bytes == 2 * stored.bytes_of([0]) == 6_400_000_000
    assert list(stored.groups([0, 1])) == [[0], [1]] and stored.chunks_at_once == 1


def test_a_chunk_beyond_the_bound_is_kept_alone(
    bitswap_drr: Path, streams_read: list[tuple[int, str]]
) -> None:
    dataset = DRRDataset(bitswap_drr, codes_bytes=0, cache_bytes=0)
    dataset.pixels([3]), dataset.pixels([4])
    assert len(streams_read) == 2 and held(dataset) == CLASS_BYTES
    dataset.pixels([40])
    assert len(streams_read) == 4 and held(dataset) == CLASS_BYTES


def test_what_was_used_longest_ago_goes(
    bitswap_drr: Path, streams_read: list[tuple[int, str]]
) -> None:
    dataset = DRRDataset(bitswap_drr, codes_bytes=2 * CLASS_BYTES, cache_bytes=0)
    for image in (0, 30, 1, 60, 2, 31):  # of class 0, 1, 0, 2, 0, 1
        dataset.codes([image])
    assert [row for row, level in streams_read if level == "top"] == [0, 1, 2, 1]


def test_codes_in_memory_are_used_before_they_go(
    bitswap_drr: Path, streams_read: list[tuple[int, str]]
) -> None:
    dataset = DRRDataset(bitswap_drr, codes_bytes=2 * CLASS_BYTES, cache_bytes=0)
    dataset.codes([250, 280])
    dataset.codes(range(0, 300, 30))  # all classes, two of which are there
    assert sorted(row for row, level in streams_read if level == "top") == list(range(10))


def test_preloading_more_than_the_bound(digits_drr: Path) -> None:
    whole = 10 * CLASS_BYTES
    assert held(DRRDataset(digits_drr, codes_bytes=whole).preload()) == whole
    with pytest.raises(
        OptionError, match=f"found {whole:,} bytes of codes, .*ChunkSampler"
    ) as caught:
        DRRDataset(digits_drr, codes_bytes=whole - 1).preload()
    assert str(digits_drr) in str(caught.value) and caught.value.option == "codes_bytes"


def test_a_class_of_several_chunks(
    own_drr: Path, streams_read: list[tuple[int, str]], pixels: NDArray[np.uint8]
) -> None:
    """Each is read alone: a class is cut into three chunks, which lie apart in the file."""
    with Reader(own_drr) as reader:
        codec = load_codec(reader, torch.device("cpu"))
        codes = read_codes(reader, codec, [4])[4]
    parts = [codes.take(slice(*ends)) for ends in ((0, 12), (12, 13), (13, 30))]
    cut = [chunk(4, made) for made in codec.compress(parts)]
    content = read_all(own_drr)
    chunks = [cut[0], *content.chunks[5:], cut[1], *content.chunks[:4], cut[2]]
    write(own_drr, replace(content, chunks=chunks), overwrite=True)
    streams_read.clear()
    dataset = DRRDataset(own_drr, codes_bytes=20 * IMAGE_BYTES, cache_bytes=0)
    np.testing.assert_array_equal(dataset.pixels([120, 149, 131]), pixels[[120, 149, 131]])
    assert sorted({row for row, _ in streams_read}) == [0, 11]
    np.testing.assert_array_equal(dataset.pixels([132, 135]), pixels[[132, 135]])
    assert dataset.chunk_starts.tolist() == [0, 30, 60, 90, 120, 132, 133, *range(150, 301, 30)]


def test_in_order(bitswap_drr: Path, streams_read: list[tuple[int, str]]) -> None:
    dataset = DRRDataset(bitswap_drr, codes_bytes=3 * CLASS_BYTES, cache_bytes=0)
    blocks = []
    for block in dataset.in_order(16):
        dataset.codes(block)
        blocks.append(block)
    assert [item for block in blocks for item in block] == list(range(300))
    assert max(map(len, blocks)) == 16
    assert len(streams_read) == len(set(streams_read)) == 20, "each chunk once"


def test_threads_workers_and_copies(bitswap_drr: Path) -> None:
    pixels = DRRDataset(bitswap_drr, classes=range(3)).to_numpy()[0]
    dataset = DRRDataset(bitswap_drr, classes=range(3), codes_bytes=CLASS_BYTES, cache_bytes=0)

    def compare(seed: int) -> None:
        where = np.random.default_rng(seed).integers(0, 90, 2)
        np.testing.assert_array_equal(dataset.pixels(where), pixels[where])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(compare, range(4)))
    copied = pickle.loads(pickle.dumps(dataset))
    assert held(copied) == held(dataset) == CLASS_BYTES
    loader = DataLoader(copied, batch_size=45, num_workers=1, multiprocessing_context="fork")
    images = torch.cat([batch for batch, _ in loader]).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(images.numpy(), pixels)


@pytest.mark.parametrize("name", ["codes_bytes", "cache_bytes"])
@pytest.mark.parametrize("wrong", [-1, 1.5, "256", True, float("nan"), np.float32(8)])
def test_what_is_no_number_of_bytes(digits_drr: Path, name: str, wrong: Any) -> None:
    with pytest.raises(OptionError, match=f"`{name}=.*expected a number of bytes") as caught:
        DRRDataset(digits_drr, **{name: wrong})
    assert caught.value.option == name


def test_numbers_of_bytes_of_numpy(digits_drr: Path) -> None:
    dataset = DRRDataset(digits_drr, codes_bytes=np.int64(1), cache_bytes=np.uint8(0))  # type: ignore[arg-type]
    np.testing.assert_array_equal(dataset.pixels([3]), DRRDataset(digits_drr).pixels([3]))
