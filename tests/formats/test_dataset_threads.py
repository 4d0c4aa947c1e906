"""A `DRRDataset` that several threads share."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from drrpack import DRRDataset
from drrpack.formats.pixel_cache import PixelCache

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


class SlowCache(PixelCache):
    """Other threads get their turn whenever it looks how far it is filled."""

    @property  # type: ignore[override]
    def used(self) -> int:
        time.sleep(1e-4)
        return self._used

    @used.setter
    def used(self, count: int) -> None:
        self._used = count


def in_threads(job: Callable[[int], None], count: int = 8) -> None:
    """Run a job in some threads, from one moment on; it is told which of them it is."""
    ready = threading.Barrier(count)

    def run(number: int) -> None:
        ready.wait()
        job(number)

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(run, number) for number in range(count)]:
            done.result()


@pytest.mark.parametrize("kept", [300, 40])
def test_threads_share_a_dataset(digits_drr: Path, kept: int, pixels: NDArray[np.uint8]) -> None:
    dataset = DRRDataset(digits_drr).preload()
    dataset._cache = SlowCache(300, (32, 32), kept * 32 * 32 * 3)

    def job(seed: int) -> None:
        order = np.random.default_rng(seed)
        for _ in range(10):
            where = order.integers(0, 300, 6)
            np.testing.assert_array_equal(dataset.pixels(where), pixels[where])

    in_threads(job)
    np.testing.assert_array_equal(dataset.pixels(range(300)), pixels)
    assert 40 <= dataset._cache.used <= kept


def test_threads_read_codes_and_networks_once(
    digits_drr: Path, streams_read: list[tuple[int, str]]
) -> None:
    dataset = DRRDataset(digits_drr)
    codecs = []

    def job(number: int) -> None:
        dataset.codes(range(300))
        codecs.append(dataset.codec)

    in_threads(job)
    assert len(streams_read) == len(set(streams_read)) == 20
    assert all(codec is codecs[0] for codec in codecs)


@pytest.fixture
def busy(digits_drr: Path) -> Iterator[DRRDataset]:
    """A dataset that another thread is decoding from for as long as the test takes."""
    dataset = DRRDataset(digits_drr)
    started, ended = threading.Event(), threading.Event()

    def decode() -> None:
        with dataset._lock:
            started.set()
            ended.wait()

    thread = threading.Thread(target=decode)
    thread.start()
    started.wait()
    yield dataset
    ended.set()
    thread.join()


def test_a_fork_while_another_thread_decodes(busy: DRRDataset, pixels: NDArray[np.uint8]) -> None:
    def compare() -> None:
        np.testing.assert_array_equal(busy.pixels([3, 200]), pixels[[3, 200]])

    child = multiprocessing.get_context("fork").Process(target=compare)
    child.start()
    child.join(200)
    code = child.exitcode
    child.kill()
    assert code == 0, "it waits for a thread that it does not have" if code is None else code
