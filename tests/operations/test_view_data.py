"""What `drrpack view` knows of a file, against `DRRDataset` and figures worked out here."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drr_files import read_all
from PIL import Image
from small_models import small_vqvae, structured_codes
from viewed import HOSTILE, KEPT, hostile_memory

from drrpack import CorruptError, DRRDataset, MissingError
from drrpack.core.codec import finish
from drrpack.core.codes import Codes
from drrpack.core.entropy.table import TableModel
from drrpack.core.errors import DrrError
from drrpack.core.layouts import lay_out
from drrpack.formats.container import Reader
from drrpack.formats.sources.source import open_source
from drrpack.operations.viewing import catalogue as catalogues
from drrpack.operations.viewing import code_store, neighbours
from drrpack.operations.viewing.catalogue import Catalogue, Key
from drrpack.operations.viewing.cost import cost_of
from drrpack.operations.viewing.drawing import colours, png
from drrpack.operations.viewing.recent import Recent
from drrpack.operations.viewing.session import ChangedError, Session

pytestmark = pytest.mark.usefixtures("one_thread")


def ignore(_: object) -> None:
    pass


def until(condition: Any, seconds: float = 60) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def memory(digits_drr: Path, digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_memory(digits_drr, digits_folder, tmp_path_factory.mktemp("view") / "mem.drr")


@pytest.fixture(scope="module")
def catalogue(memory: Path) -> Catalogue:
    return Catalogue(memory, None, ignore)


@pytest.fixture(scope="module")
def dataset(memory: Path) -> DRRDataset:
    return DRRDataset(memory).preload()


# --- classes and images ---


def test_classes(catalogue: Catalogue, memory: Path, dataset: DRRDataset) -> None:
    counts, content = Counter(dataset.targets), read_all(memory)
    for number, row in enumerate(catalogue.rows):
        chunks = [chunk for chunk in content.chunks if chunk.class_index == number]
        assert (row.number, row.name, row.images) == (number, HOSTILE[number], counts[number])
        assert row.bytes == sum(len(chunk.top) + len(chunk.bottom) for chunk in chunks)
        records = [record for record in content.raw if record.class_index == number]
        assert row.raw == sum(record.images for record in records)
        assert row.raw_bytes == sum(len(record.data) for record in records)
    assert [row.raw for row in catalogue.rows] == [0, 0, 0, 3, 0, 0, 0, 0, 0, 0]
    assert (catalogue.rows[3].images, catalogue.rows[5].images) == (60, 0)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("key", ["number", "name", "images", "bytes", "raw"])
def test_orders(catalogue: Catalogue, key: Key, down: bool) -> None:
    rows = catalogue.listed(key=key, down=down)
    found = [row.name.casefold() if key == "name" else getattr(row, key) for row in rows]
    assert found == sorted(found, reverse=down) and len(rows) == 10
    if key != "name":
        equal = [[r.number for r in rows if getattr(r, key) == value] for value in set(found)]
        assert all(numbers == sorted(numbers) for numbers in equal) or key == "number"


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [("", list(range(10))), ("FÜCHSE", [5]), ("\n", [2]), ("ordinary", [8]), (".*", []),
     ("taken", [0, 1])],
)  # fmt: skip
def test_filters(catalogue: Catalogue, wanted: str, numbers: list[int]) -> None:
    assert [row.number for row in catalogue.listed(wanted)] == numbers


def test_images_are_those_of_the_dataset(catalogue: Catalogue, dataset: DRRDataset) -> None:
    seen, (pixels, _) = Counter[int](), dataset.to_numpy()
    grids = [grid.numpy() for grid in dataset.codes(range(len(dataset)))]
    for image, label in enumerate(dataset.targets):
        place = catalogue.place(image)
        assert (place.image, place.number, place.position) == (image, label, seen[label])
        inside = place.position - (30 if label == 3 and place.position >= 30 else 0)
        assert (place.chunk_position, place.chunk_images) == (inside, 30)
        seen[label] += 1
        np.testing.assert_array_equal(catalogue.reconstruction(place), pixels[image])
        for found, grid in zip(catalogue.codes(place).grids, grids, strict=True):
            np.testing.assert_array_equal(found, grid[[image]])
    for image in (-1, len(dataset), 10**12):
        with pytest.raises(IndexError, match="300 images"):
            catalogue.place(image)


def test_only_what_is_looked_at_is_decoded(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[list[int]] = []
    monkeypatch.setattr(catalogues, "BLOCK_BYTES", 7 * 32 * 32 * 3)  # blocks of seven images
    found = Catalogue(memory, None, ignore)
    read, pixels = found.store.of, found.store.pixels

    def counted(codes: Any) -> Any:
        decoded.append([len(codes)])
        return pixels(codes)

    monkeypatch.setattr(found.store, "pixels", counted)
    assert not any(found.store.has(number) for number in range(10)) and decoded == []
    for image in (60, 61, 66, 67, 89):
        found.reconstruction(found.place(image))
    assert [number for number in range(10) if found.store.has(number)] == [2]
    assert decoded == [[7], [7], [2]] and len(read(2)) == 30


def test_codes_stay_up_to_a_bound(
    memory: Path, dataset: DRRDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_bytes = 2 * (4 * 4 + 8 * 8)
    monkeypatch.setattr(code_store, "KEPT_BYTES", 100 * image_bytes)  # three classes of 30
    found = Catalogue(memory, None, ignore)
    for image in (0, 40, 80, 130, 3):
        top, bottom = found.codes(found.place(image)).grids
        expected = dataset.codes([image])
        assert (top == expected[0].numpy()).all() and (bottom == expected[1].numpy()).all()
        kept = sum(grid.nbytes for codes in found.store._codes.values() for grid in codes.grids)
        assert kept <= 100 * image_bytes
    assert found.store.has(0) and not found.store.has(1)
    until(lambda: found.nearest(found.place(250), whole=True).complete)
    few = found.nearest(found.place(250), whole=True)
    assert few.classes_wanted == 3 and len(few.found) == 12
    found.close()


def test_a_failure_in_the_background_is_told(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(code_store, "read_codes", fails)
    found = Catalogue(memory, None, ignore)
    found.store.fetch([0])
    with pytest.raises(DrrError, match=r"mem.*: decoding stopped .*can't allocate memory"):
        until(lambda: found.store.fetch([0]) or False)
    found.close()


# --- what an image costs ---


@pytest.mark.parametrize("number", [0, 3, 9])
def test_costs_add_up_to_the_streams(catalogue: Catalogue, number: int) -> None:
    row = catalogue.rows[number]
    start = int(catalogue.starts[number])
    costs = [catalogue.cost(catalogue.place(start + i)) for i in range(row.images)]
    chunks = row.images // 30
    for bits, size in (
        (sum(cost.top_bits for cost in costs if cost), row.top_bytes),
        (sum(cost.bottom_bits for cost in costs if cost), row.bottom_bytes),
    ):
        assert 0 <= size - bits / 8 <= 10 * chunks, "a head of 6 bytes, rounded up to 4 bytes"
    assert costs[0] is not None and costs[0].starts_stream
    assert costs[0].bytes == (costs[0].top_bits + costs[0].bottom_bits) / 8


def test_costs_by_a_table_of_frequencies() -> None:
    """Streams of 40 images each, which every table codec lays out as it likes."""
    tops, bottoms = (structured_codes([40, 40], shape, 32) for shape in ((4, 4), (8, 8)))
    codes = [Codes.of(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)]
    seen = Codes.concat(codes)
    made = finish(small_vqvae(), TableModel.fitted(seen, 32), seen, torch.device("cpu"))
    codec, streams = lay_out(made, codes)
    for of, stream in zip(codes, streams, strict=True):
        costs = [cost_of(codec, of.take(slice(i, i + 1)), i, 40) for i in range(40)]
        for bits, words in (
            (sum(cost.top_bits for cost in costs if cost), stream.top),
            (sum(cost.bottom_bits for cost in costs if cost), stream.bottom),
        ):
            assert 0 <= 4 * len(words) - bits / 8 <= 10


def test_bitswap_has_no_cost_of_one_image(bitswap_drr: Path) -> None:
    found = Catalogue(bitswap_drr, None, ignore)
    assert found.cost(found.place(0)) is None


# --- nearest images ---


def by_hand(dataset: DRRDataset, image: int) -> list[tuple[float, int]]:
    """Distances of all other images: differences of vectors, squared, summed, then averaged."""
    network = dataset.codec.vqvae
    vectors = [
        np.asarray(quantiser.codebook, np.float64)[codes.numpy()].reshape(len(dataset), -1, 16)
        for quantiser, codes in zip(
            (network.top, network.bottom), dataset.codes(range(len(dataset))), strict=True
        )
    ]
    both = np.concatenate(vectors, 1)  # (N, places, 16)
    squares = ((both - both[image]) ** 2).sum(2).mean(1)
    return sorted((float(d), n) for n, d in enumerate(squares) if n != image)


@pytest.mark.parametrize("image", [0, 95, 299])
def test_nearest_images(catalogue: Catalogue, dataset: DRRDataset, image: int) -> None:
    place = catalogue.place(image)
    until(lambda: catalogue.nearest(place).complete)
    found = catalogue.nearest(place)
    expected = by_hand(dataset, image)[: len(found.found)]
    assert [one.distance for one in found.found] == pytest.approx([d for d, _ in expected])
    assert [one.image for one in found.found] == [n for _, n in expected]
    assert (found.images, found.images_wanted) == (299, 299) and len(found.found) == 12


def test_a_sample_of_a_large_file(
    memory: Path, dataset: DRRDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "SAMPLE_IMAGES", 100)
    found = Catalogue(memory, None, ignore)
    place = found.place(95)
    first = found.nearest(place)
    assert first.images >= 59 and not first.complete, "its own class is there at once"
    until(lambda: found.nearest(place).complete)
    sample, labels = found.nearest(place), dataset.targets
    wanted = neighbours.sampled_classes(found.images_per_class, 3)
    inside = [(d, n) for d, n in by_hand(dataset, 95) if labels[n] in wanted]
    assert [one.image for one in sample.found] == [n for _, n in inside[:12]]
    assert sample.images == sample.images_wanted == len(inside) < 299 and 3 in wanted
    until(lambda: found.nearest(place, whole=True).complete)
    every = found.nearest(place, whole=True)
    assert [one.image for one in every.found] == [n for _, n in by_hand(dataset, 95)[:12]]


def test_samples_are_bounded_and_spread() -> None:
    counts = np.full(1000, 50, np.int64)
    for own in (0, 500, 999):
        chosen = neighbours.sampled_classes(counts, own)
        assert own in chosen and 4000 <= counts[chosen].sum() <= 4050
        assert max(np.diff([0, *chosen, 999])) < 50
    assert neighbours.sampled_classes(np.array([0, 10**7, 3]), 1) == [1]
    assert neighbours.sampled_classes(np.array([5, 0, 3]), 0) == [0, 2]


# --- pictures ---


def test_a_picture_is_the_pixels(dataset: DRRDataset) -> None:
    pixels = dataset.pixels([7])[0]
    with Image.open(io.BytesIO(png(pixels))) as found:
        np.testing.assert_array_equal(np.asarray(found), pixels)


def test_colours_follow_the_vectors() -> None:
    line = np.linspace(0, 1, 32)[:, None] * np.array([[0.0, 3.0, 4.0, 0.0]])
    red = colours(line)[:, 0].astype(int)
    assert (np.diff(red) > 0).all() and (red[0], red[-1]) == (0, 255)
    assert colours(np.array([[1.0], [5.0]]))[:, 0].tolist() == [0, 255]
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(64, 3)) * [9, 3, 1]
    near = np.argsort(((vectors[:, None] - vectors) ** 2).sum(2), 1)
    shades = colours(vectors).astype(float)
    apart = [np.abs(shades - shades[near[:, rank]]).mean() for rank in (1, 63)]
    assert apart[0] < apart[1] / 2


def test_pictures_of_codes(catalogue: Catalogue, dataset: DRRDataset) -> None:
    place, codes = catalogue.place(40), dataset.codes([40])
    for level, grid, shape in zip(("top", "bottom"), codes, ((4, 4), (8, 8)), strict=True):
        picture = catalogue.codes_picture(place, level)  # type: ignore[arg-type]
        assert picture.shape == (*shape, 3) and picture.dtype == np.uint8
        numbers = grid[0].numpy().reshape(-1)
        shades = picture.reshape(-1, 3)
        for i, code in enumerate(numbers):
            np.testing.assert_array_equal(shades[numbers == code], shades[[i]].repeat(
                (numbers == code).sum(), 0))  # fmt: skip
    assert catalogue.top_shape == (4, 4)


# --- originals ---


def test_raw_exemplars(catalogue: Catalogue, digits_folder: Path) -> None:
    images, start = open_source(digits_folder).load(3), int(catalogue.starts[3])
    assert catalogue.originals.state == "none" and catalogue.originals.exemplars(3) == list(KEPT)
    for position in range(60):
        found = catalogue.original(catalogue.place(start + position))
        assert (found is not None) == (position in KEPT) == catalogue.originals.has(3, position)
        if found is not None:
            assert found.origin == "raw exemplar"
            np.testing.assert_array_equal(found.pixels, images[position])
    assert catalogue.original(catalogue.place(0)) is None


def test_a_source(digits_drr: Path, digits_folder: Path) -> None:
    events: list[Any] = []
    found = Catalogue(digits_drr, digits_folder, events.append)
    until(lambda: found.originals.state != "checking")
    assert found.originals.state == "ready" and str(digits_folder) in found.originals.told
    assert [event.warning for event in events] == [False]
    source = open_source(digits_folder)
    for number in (0, 7):
        for position, image in enumerate(source.load(number)):
            original = found.original(found.place(30 * number + position))
            assert original is not None and original.origin == "source"
            np.testing.assert_array_equal(original.pixels, image)


def test_another_source(digits_drr: Path, digits_folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(digits_folder, tmp_path / "other"))
    next((other / "train" / "0").iterdir()).unlink()
    events: list[Any] = []
    for place in (other, tmp_path / "absent"):
        found = Catalogue(digits_drr, place, events.append)
        until(lambda found=found: found.originals.state != "checking")
        assert found.originals.state == "failed" and found.originals.told == events[-1].text
        assert events[-1].warning and str(place) in events[-1].text
        assert found.original(found.place(0)) is None
    assert len(events) == 2


# --- a file that changes ---


def test_a_file_that_is_replaced(own_drr: Path, memory: Path) -> None:
    session = Session(own_drr, None, ignore)
    assert session.catalogue().rows[3].name == "3"
    assert session.catalogue() is session.catalogue()
    os.utime(own_drr, (1, 1))
    assert session.catalogue().rows[3].name == "3", "another time, but the same content"
    shutil.copy(memory, own_drr.parent / "new")
    os.replace(own_drr.parent / "new", own_drr)
    with pytest.raises(ChangedError, match=r"mem\.drr: found another content"):
        session.catalogue()
    assert session.catalogue().rows[3].name == HOSTILE[3]


def test_a_file_that_is_gone_or_damaged(own_drr: Path) -> None:
    session, content = Session(own_drr, None, ignore), own_drr.read_bytes()
    own_drr.unlink()
    for _ in range(2):
        with pytest.raises(MissingError, match="put it back"):
            session.catalogue()
    own_drr.write_bytes(content[:-9])
    with pytest.raises(CorruptError):
        session.catalogue()
    own_drr.write_bytes(content)
    assert session.catalogue().images == 300


def test_a_damaged_stream_is_told_wherever_it_is_met(own_drr: Path) -> None:
    with Reader(own_drr) as reader:
        offset = reader.structure.extents["streams"].offset + int(reader.index[2]["offset"])
    image = bytearray(own_drr.read_bytes())
    image[offset + 3] ^= 1
    own_drr.write_bytes(image)
    found = Catalogue(own_drr, None, ignore)
    with pytest.raises(CorruptError, match="class 2"):
        found.reconstruction(found.place(60))
    found.nearest(found.place(0))  # decodes the rest in the background
    with pytest.raises(CorruptError, match="take an intact copy"):
        until(lambda: found.nearest(found.place(0)).complete)
    assert found.reconstruction(found.place(0)).shape == (32, 32, 3)


# --- results that are kept ---


def test_the_newest_results_are_kept() -> None:
    made: list[int] = []

    def make(number: int) -> Any:
        made.append(number)
        return np.full(10, number, np.uint8)

    recent = Recent(make, 30)
    for number in (1, 2, 3, 1, 4, 1, 2):  # 4 drives out 2, which was used longest ago
        assert recent(number).tolist() == [number] * 10
    assert made == [1, 2, 3, 4, 2]
    large = Recent(make, 5)
    assert large(8) is large(8) and made.count(8) == 1, "the newest stays, however large"


def test_threads_make_once_and_wait_for_nothing_that_is_there() -> None:
    may_go, begun, made = threading.Event(), threading.Event(), Counter[int]()

    def make(number: int) -> Any:
        made[number] += 1
        if number == 2:
            begun.set()
            assert may_go.wait(30)
        return np.zeros(1)

    recent = Recent(make, 100)
    recent(1)
    threads = [threading.Thread(target=recent, args=(2,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    recent(1)  # while another thread makes 2
    may_go.set()
    for thread in threads:
        thread.join(30)
    assert made == {1: 1, 2: 1}
