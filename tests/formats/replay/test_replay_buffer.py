"""`ReplayBuffer` with real codecs: what comes back, what it costs, and what is refused."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from process_settings import SETTINGS
from tiny_memory import GOLDEN_BITSWAP
from torch.utils.data import DataLoader

import drrpack as package
from drrpack import DRRDataset, DrrError, OptionError, OutputError, ReplayBuffer, SourceError
from drrpack.core.arrays import Pixels
from drrpack.formats.container import Reader
from drrpack.formats.replay.policies import Arrival
from drrpack.formats.replay.saved_record import generator_of, state_of
from drrpack.formats.sources.source import open_source

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]
IMAGE, CLASS = 90, 24  # bytes: 80 codes of 9 bits; three numbers of 8 bytes
SMALL_IMAGE = 30  # 80 codes of 3 bits, as the small codec has 8


@pytest.fixture(scope="module")
def digits(digits_folder: Path) -> tuple[Pixels, NDArray[np.int64]]:
    """Images (300, 32, 32, 3) and labels (300,), in random order."""
    source = open_source(digits_folder)
    images = np.concatenate([source.load(number) for number in range(10)])
    order = np.random.default_rng(0).permutation(300)
    return images[order], np.repeat(np.arange(10), 30)[order]


@pytest.fixture(scope="module")
def filled(digits: tuple[Pixels, NDArray[np.int64]]) -> ReplayBuffer:
    """By all defaults: the codec that comes along, at quality 75; read only."""
    buffer = ReplayBuffer(budget_bytes=20_000)
    for start in range(0, 300, 50):
        buffer.add(digits[0][start : start + 50], digits[1][start : start + 50])
    return buffer


def small(budget_bytes: int = 5_000, policy: str = "reservoir", **more: Any) -> ReplayBuffer:
    """With a codec of a few kilobytes, whose codebooks have 8 codes."""
    return ReplayBuffer(GOLDEN_BITSWAP, budget_bytes, policy, **more)


# --- what comes back ---


@pytest.mark.slow
def test_the_pixels_are_those_of_a_file(
    filled: ReplayBuffer, digits: tuple[Pixels, NDArray[np.int64]], tmp_path: Path
) -> None:
    assert filled.save(tmp_path / "mem.drr") == (tmp_path / "mem.drr").stat().st_size
    dataset = DRRDataset(tmp_path / "mem.drr")
    found = torch.stack([image for image, _ in dataset.__getitems__(range(len(dataset)))])
    held = filled.__getitems__(range(len(filled)))
    assert torch.equal(torch.stack([image for image, _ in held]), found)
    names = [dataset.classes[label] for label in dataset.targets]
    assert names == [str(label) for _, label in held] == [str(n) for n in filled.targets]
    assert package.verify(tmp_path / "mem.drr", "full").sound
    # each is the nearest to its own original, among those of all 300
    near = [
        int(((digits[0].astype(int) - image.permute(1, 2, 0).numpy()) ** 2).sum((1, 2, 3)).argmin())
        for image, _ in held[:40]
    ]
    assert np.mean([digits[1][n] == label for n, (_, label) in zip(near, held, strict=False)]) > 0.9


def test_codes_are_those_of_encode(
    digits: tuple[Pixels, NDArray[np.int64]], tmp_path: Path
) -> None:
    images, labels = digits[0][:20], np.zeros(20, np.int64)
    package.encode([(image, 0) for image in images], tmp_path / "made.drr", device="cpu")
    buffer = ReplayBuffer(budget_bytes=20 * IMAGE + CLASS)
    buffer.add(images, labels)
    found = np.stack(
        [image.permute(1, 2, 0).numpy() for image, _ in buffer.__getitems__(range(20))]
    )
    np.testing.assert_array_equal(found, DRRDataset(tmp_path / "made.drr").to_numpy()[0])


def test_sample(filled: ReplayBuffer) -> None:
    held = {
        image.numpy().tobytes(): label for image, label in filled.__getitems__(range(len(filled)))
    }
    images, labels = filled.sample(len(filled))
    assert images.shape == (len(filled), 3, 32, 32) and images.dtype == torch.uint8
    assert images.is_contiguous() and labels.dtype == torch.int64
    assert Counter(labels.tolist()) == Counter(filled.targets), "each image once"
    assert all(
        held[image.numpy().tobytes()] == label for image, label in zip(images, labels, strict=True)
    )
    many, _ = filled.sample(2 * len(filled), replacement=True)
    assert len(many) == 2 * len(filled)
    assert len(filled.sample(0)[0]) == 0


def test_seeds_and_the_random_state() -> None:
    images = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(2, dtype=torch.float32), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)

    def buffer(seed: int, draws: int = 0) -> ReplayBuffer:
        made = small(60 * CLASS + 20 * 2, seed=seed)  # five codes of three bits take two bytes
        for start in range(0, 60, 20):
            made.add(images[start : start + 20], list(range(start, start + 20)))
            made.sample(draws)
        return made

    one, same, other, drawn = buffer(0), buffer(0), buffer(1), buffer(0, draws=2)
    assert one.targets == same.targets == drawn.targets != other.targets
    assert len(one) == 20
    assert one.sample(3)[1].tolist() == same.sample(3)[1].tolist()
    assert torch.equal(expected[0], torch.rand(2, dtype=torch.float32))
    assert expected[1] == np.random.rand()


# --- what it costs ---


def test_bytes(filled: ReplayBuffer) -> None:
    """By hand: of 20,000 bytes ten classes take 240, and 219 images of 90 bytes fit beside."""
    assert (len(filled), filled.bytes) == (219, 10 * CLASS + 219 * IMAGE)
    assert filled.seen == 300 and sum(filled.counts.values()) == 219
    assert filled.image_size == (32, 32)
    assert "219 images of 32x32, 10 classes, 19950 of 20000 bytes, reservoir" in repr(filled)


@pytest.mark.slow
def test_model_bytes_are_those_of_a_file(filled: ReplayBuffer, tmp_path: Path) -> None:
    filled.save(tmp_path / "mem.drr")
    parts = package.stats(tmp_path / "mem.drr").bytes
    # the layout of streams in the config is that of the file
    assert filled.model_bytes == pytest.approx(parts.vqvae + parts.entropy_model, abs=20)
    counted = ReplayBuffer(budget_bytes=filled.model_bytes + 200, count_models=True)
    counted.add(np.zeros((3, 32, 32, 3), np.uint8), [0, 0, 0])
    assert (len(counted), counted.bytes) == (1, CLASS + IMAGE)
    with pytest.raises(OptionError, match="bytes of the models"):
        ReplayBuffer(budget_bytes=filled.model_bytes, count_models=True)


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "sample", "copy", "load"]), st.integers(0, 5)), max_size=10
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(OPERATIONS, st.sampled_from(["reservoir", "class-balanced", "ring"]), st.integers(0, 900))
def test_operations_of_all_kinds(
    tmp_path: Path, operations: list[tuple[str, int]], policy: str, room: int
) -> None:
    """The budget holds after each, and what is drawn is what the memory has."""
    budget = 6 * (CLASS + SMALL_IMAGE) + room
    buffer, seen = small(budget, policy), Counter[int]()
    for number, (operation, size) in enumerate(operations):
        if operation == "add":
            seed = np.random.default_rng(number)
            labels = seed.integers(0, 6, size)
            buffer.add(seed.integers(0, 256, (size, 32, 32, 3), dtype=np.uint8), labels)
            seen.update(labels.tolist())
        elif operation == "sample":
            _, labels = buffer.sample(min(size, len(buffer)))
            assert not Counter(labels.tolist()) - Counter(buffer.targets)
        elif operation == "copy":
            buffer = pickle.loads(pickle.dumps(buffer))
        elif len(buffer):
            buffer.save(tmp_path / "mem.drr", force=True)
            buffer = ReplayBuffer.load(tmp_path / "mem.drr")
        assert buffer.bytes == CLASS * len(seen) + SMALL_IMAGE * len(buffer) <= budget
        assert buffer.seen == seen.total() and set(buffer.counts) == set(seen)


# --- what it takes ---


@pytest.mark.parametrize(
    "given",
    [
        lambda x: x,
        lambda x: x.transpose(0, 3, 1, 2),
        torch.from_numpy,
        lambda x: torch.from_numpy(x).permute(0, 3, 1, 2),
        lambda x: torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255,
        lambda x: list(x),
        lambda x: [Image.fromarray(image) for image in x],
        lambda x: tuple(torch.from_numpy(image).permute(2, 0, 1) for image in x),
    ],
    ids=["last", "first", "tensor last", "tensor", "floats", "list", "PIL", "tuple"],
)
def test_kinds_of_images(given: Callable[[Pixels], object]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 24, 3), dtype=np.uint8)
    expected, buffer = small(), small()
    expected.add(images, [1, 2, 3, 4])
    buffer.add(given(images), torch.tensor([1, 2, 3, 4]))
    assert buffer.image_size == (16, 24)
    assert torch.equal(buffer.sample(4)[0], expected.sample(4)[0])


def test_grey_images() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
    one, other = small(), small()
    one.add(grey, [0] * 4)
    other.add(np.repeat(grey, 3, 3), [0] * 4)
    assert torch.equal(one.sample(4)[0], other.sample(4)[0])


ONE = np.zeros((1, 16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        (ONE[0], [0], r"images: found the shape \(16, 16, 3\)"),
        (np.zeros((1, 16, 16, 4), np.uint8), [0], r"the shape \(1, 16, 16, 4\)"),
        (ONE.astype(np.float32), [0], "of float32"),
        (torch.full((1, 3, 16, 16), 1.5, dtype=torch.float32), [0], "expected floats from 0 to 1"),
        (np.zeros((1, 0, 16, 3), np.uint8), [0], "found an image of 16x0"),
        (np.zeros((1, 5000, 1, 3), np.uint8), [0], "found 1x5000 pixels"),
        ("images", [0], "images: found 'images'"),
        ([ONE[0], np.zeros((8, 8, 3), np.uint8)], [0, 0], "found sizes 8x8 and 16x16"),
        (np.zeros((1, 32, 32, 3), np.uint8), [0], "found 32x32 pixels; expected 16x16"),
        (torch.full((1, 3, 16, 16), 2, dtype=torch.bfloat16), [0], "expected floats from 0 to 1"),
        (ONE, [0, 1], "found 2 labels for 1 image;"),
        (ONE, 0, "labels: found 0; expected a list"),
        (ONE, ["cat"], r"labels\[0\]: found 'cat'"),
        (ONE, [-1], r"labels\[0\]: found -1"),
        (ONE, [0.5], r"labels\[0\]: found 0.5"),
        (ONE, [True], r"labels\[0\]: found True"),
        (ONE, [2**63], "expected a whole number from 0 to"),
        (ONE, torch.zeros(1, 2, dtype=torch.int64), r"labels\[0\]: found \[0, 0\]"),
    ],
)
def test_what_can_not_be_added(images: object, labels: object, told: str) -> None:
    buffer = small()
    buffer.add(ONE, [0])
    with pytest.raises(SourceError, match=told):
        buffer.add(images, labels)
    assert len(buffer) == buffer.seen == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, r"`budget_bytes=None`: expected a number of bytes from 1"),
        ({"budget_bytes": 0}, "`budget_bytes=0`"),
        ({"budget_bytes": 1.5}, "`budget_bytes=1.5`"),
        ({"budget_bytes": 9, "policy": "fifo"}, "`policy`: found 'fifo'"),
        ({"budget_bytes": 9, "quality": 101}, "`quality=101`: expected 0 to 100"),
        ({"budget_bytes": 9, "seed": -1}, "`seed=-1`"),
        ({"budget_bytes": 9, "device": "tpu"}, "say auto, cpu or cuda"),
        ({"budget_bytes": 9, "codec": "nothing.drr"}, "nothing.drr"),
    ],
)
def test_arguments_that_can_not_be_used(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(DrrError, match=told):
        ReplayBuffer(**arguments)


def test_an_add_that_fails_fixes_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = small()
    with monkeypatch.context() as patch:
        patch.setattr(type(buffer._codec), "encode", _out_of_memory)
        with pytest.raises(RuntimeError, match="out of memory"):
            buffer.add(np.zeros((2, 32, 32, 3), np.uint8), [0, 1])
    assert buffer.image_size is None and buffer.counts == {} and buffer.bytes == 0
    buffer.add(np.zeros((1, 16, 24, 3), np.uint8), [4])
    assert buffer.image_size == (16, 24) and buffer.counts == {4: 1}
    assert buffer[0][0].shape == (3, 16, 24)


def _out_of_memory(*_: object, **__: object) -> None:
    raise RuntimeError("out of memory")


def test_the_first_of_two_threads_fixes_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one encodes images of another size meanwhile, and adds none."""
    buffer = small()
    encode = type(buffer._codec).encode

    def late(codec: Any, pixels: Pixels) -> Any:
        monkeypatch.setattr(type(buffer._codec), "encode", encode)
        buffer.add(np.zeros((1, 16, 24, 3), np.uint8), [4])
        return encode(codec, pixels)

    monkeypatch.setattr(type(buffer._codec), "encode", late)
    with pytest.raises(SourceError, match="found 32x32 pixels; expected 24x16"):
        buffer.add(np.zeros((2, 32, 32, 3), np.uint8), [0, 1])
    assert buffer.image_size == (16, 24) and buffer.counts == {4: 1}


def test_a_budget_too_small_for_an_image() -> None:
    buffer = small(CLASS + SMALL_IMAGE - 1)
    with pytest.raises(OptionError, match="found room for 53 bytes of images, expected 54"):
        buffer.add(np.zeros((1, 32, 32, 3), np.uint8), [0])
    assert (len(buffer), buffer.image_size) == (0, None)
    smaller = small(CLASS + SMALL_IMAGE)
    smaller.add(np.zeros((2, 32, 32, 3), np.uint8), [0, 0])
    assert len(smaller) == 1


@pytest.mark.parametrize("n", [-1, 3, 1.5, None, True], ids=repr)
def test_what_can_not_be_drawn(n: Any) -> None:
    buffer = small()
    with pytest.raises(OptionError, match="add images first"):
        buffer.sample(1, replacement=True)
    buffer.add(np.zeros((2, 16, 16, 3), np.uint8), [0, 0])
    with pytest.raises(OptionError, match=r"expected a whole number from 0 to 2"):
        buffer.sample(n)
    with pytest.raises(IndexError, match="the buffer has 2 images; 2 is outside"):
        buffer[2]


# --- other codecs ---


def test_the_quality_of_a_codec(digits_drr: Path) -> None:
    with Reader(digits_drr) as reader:
        assert reader.metadata["quality"] == 75
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    buffers = [
        ReplayBuffer(budget_bytes=9999),
        ReplayBuffer(digits_drr, 9999),
        ReplayBuffer(digits_drr, 9999, quality=100),
    ]
    for buffer in buffers:
        buffer.add(images, [0] * 4)
    shipped, same, nearest = (buffer.sample(4)[0] for buffer in buffers)
    assert torch.equal(shipped, same) and not torch.equal(same, nearest)
    with pytest.raises(OptionError, match="has no context model"):
        small(quality=50)


def test_a_codec_without_its_encoder() -> None:
    with pytest.raises(OptionError, match="`decoder_only`"):
        ReplayBuffer(GOLDEN_BITSWAP.with_name("decoder.drr"), 9999)


# --- files ---


@pytest.mark.parametrize("policy", ["reservoir", "class-balanced", "ring"])
def test_a_loaded_buffer_goes_on(
    policy: str, digits: tuple[Pixels, NDArray[np.int64]], tmp_path: Path
) -> None:
    buffer = small(3_000, policy, seed=5)
    buffer.add(digits[0][:150], digits[1][:150] + 7)
    buffer.sample(3)
    buffer.save(tmp_path / "mem.drr")
    loaded = ReplayBuffer.load(tmp_path / "mem.drr")
    for each in (buffer, loaded):
        each.add(digits[0][150:], digits[1][150:] + 7)
    assert loaded.counts == buffer.counts and loaded.seen == buffer.seen == 300
    assert loaded.policy.name == policy and loaded.budget_bytes == 3_000
    for one, other in zip(buffer.sample(20), loaded.sample(20), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_a_smaller_and_a_larger_budget(filled: ReplayBuffer, tmp_path: Path) -> None:
    filled.save(tmp_path / "mem.drr")
    less = ReplayBuffer.load(tmp_path / "mem.drr", 5_000, "class-balanced")
    assert set(less.counts.values()) <= {5, 6} and less.bytes <= 5_000 and less.seen == 300
    more = ReplayBuffer.load(tmp_path / "mem.drr", 30_000)
    assert more.counts == filled.counts
    more.add(np.zeros((9, 32, 32, 3), np.uint8), [0] * 9)
    assert len(more) == 228


def test_a_smaller_budget_remembers_classes_without_images(tmp_path: Path) -> None:
    """They have brought images, which a reservoir counts, and each takes its 24 bytes."""
    buffer = small(2 * CLASS + 4 * SMALL_IMAGE, Oldest())  # type: ignore[arg-type]
    buffer.add(np.zeros((8, 32, 32, 3), np.uint8), [3, 3, 5, 5, 5, 5, 5, 5])
    assert buffer.counts == {3: 0, 5: 4}
    buffer.save(tmp_path / "mem.drr")
    loaded = ReplayBuffer.load(tmp_path / "mem.drr", 2 * CLASS + 2 * SMALL_IMAGE, "reservoir")
    assert loaded.counts == {3: 0, 5: 2} and loaded.seen == 8
    assert loaded.bytes == loaded.budget_bytes


def test_models_that_count_do_so_after_a_load(tmp_path: Path) -> None:
    models = small().model_bytes
    buffer = small(models + CLASS + 3 * SMALL_IMAGE, count_models=True)
    images = np.zeros((5, 32, 32, 3), np.uint8)
    buffer.add(images, [0] * 5)
    buffer.save(tmp_path / "mem.drr")
    for count, held in [(None, 3), (True, 3), (False, 8)]:
        loaded = ReplayBuffer.load(tmp_path / "mem.drr", count_models=count)
        assert len(loaded) == 3
        loaded.add(images, [0] * 5)
        assert len(loaded) == held


def test_a_seed_takes_the_place_of_a_saved_state(tmp_path: Path) -> None:
    buffer = small(seed=1)
    buffer.add(np.zeros((40, 16, 16, 3), np.uint8), list(range(40)))
    first = buffer.sample(40)[1].tolist()
    buffer.save(tmp_path / "mem.drr", force=True)
    drawn = {
        seed: ReplayBuffer.load(tmp_path / "mem.drr", seed=seed).sample(40)[1].tolist()
        for seed in (None, 1, 2)
    }
    assert drawn[1] == first, "from the start of the seed"
    assert drawn[None] == buffer.sample(40)[1].tolist(), "on from where it was"
    assert len({*map(tuple, drawn.values())}) == 3


def test_any_file(digits_drr: Path) -> None:
    """Labels are the numbers of the classes, as in a dataset, and all images have been seen."""
    buffer = ReplayBuffer.load(digits_drr, 30_000, seed=1)
    dataset = DRRDataset(digits_drr)
    assert buffer.targets == dataset.targets and buffer.seen == len(dataset) == 300
    image, label = buffer[17]
    assert torch.equal(image, dataset[17][0]) and label == dataset[17][1]
    with pytest.raises(OptionError, match="found no budget"):
        ReplayBuffer.load(digits_drr)


@pytest.mark.slow
def test_what_a_file_does_not_say_is_asked_for(
    digits_drr: Path, filled: ReplayBuffer, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=r"digits.drr: found no budget, .*: give `budget_bytes`"):
        ReplayBuffer.load(digits_drr)
    filled.policy = Oldest()
    filled.save(tmp_path / "own.drr")
    with pytest.raises(
        OptionError, match=r"own\.drr: found the policy 'oldest', .*: give it as `po"
    ):
        ReplayBuffer.load(tmp_path / "own.drr")
    assert len(ReplayBuffer.load(tmp_path / "own.drr", policy=Oldest())) == len(filled)


class Oldest:
    name = "oldest"

    def leaving(self, arrival: Arrival, random: np.random.Generator) -> list[int]:
        return list(range(arrival.excess))


def test_names(tmp_path: Path) -> None:
    buffer = small()
    buffer.add(np.zeros((3, 32, 32, 3), np.uint8), [2, 0, 2])
    buffer.save(tmp_path / "named.drr", ["cat", "dog", "eel"])
    assert DRRDataset(tmp_path / "named.drr").classes == ["eel", "cat"]
    loaded = ReplayBuffer.load(tmp_path / "named.drr")
    assert loaded.counts == {2: 2, 0: 1}
    loaded.add(np.zeros((1, 32, 32, 3), np.uint8), [5])
    loaded.save(tmp_path / "again.drr")
    assert DRRDataset(tmp_path / "again.drr").classes == ["eel", "cat", "5"]
    for names, told in [
        (["cat"], "found 1 names, and the label 2"),
        ("cat", "expected a list"),
        (["x", "y", "x"], "found two classes of one name, 'x'; expected distinct names: give"),
        (["a", "b", "A"], "two classes of one name.*give `class_names` that differ"),
        (["", "b", "c"], "class name ''"),
    ]:
        with pytest.raises(DrrError, match=told):
            buffer.save(tmp_path / "wrong.drr", names)
    assert not (tmp_path / "wrong.drr").exists()


def test_labels_survive_other_commands(tmp_path: Path) -> None:
    path, zeros = tmp_path / "mem.drr", np.zeros((3, 32, 32, 3), np.uint8)
    buffer = small()
    buffer.add(zeros, [4, 9, 6])
    buffer.save(path)
    package.drop(path, ["9"])
    package.append(path, [(zeros[0], 0)] * 2, class_names=["new"], keep_entropy_model=True)
    loaded = ReplayBuffer.load(path)
    assert loaded.counts == {4: 1, 6: 1, 10: 2} and loaded.bytes == 3 * CLASS + 4 * SMALL_IMAGE
    assert loaded.seen == 4, "what was appended counts"


def test_a_save_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, buffer = tmp_path / "mem.drr", small()
    with pytest.raises(OptionError, match="the buffer is empty"):
        buffer.save(path)
    buffer.add(np.zeros((3, 32, 32, 3), np.uint8), [0, 1, 2])
    buffer.save(path)
    before, state = path.read_bytes(), buffer.sample(0)
    buffer.add(np.full((3, 32, 32, 3), 255, np.uint8), [3, 4, 5])
    with pytest.raises(OutputError, match="exists already"):
        buffer.save(path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OutputError, match="the disk is full"):
            buffer.save(path, force=True)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["mem.drr"]
    assert buffer.counts == dict.fromkeys(range(6), 1) and len(state[0]) == 0
    buffer.save(path, force=True)
    assert ReplayBuffer.load(path).counts == buffer.counts


@pytest.mark.parametrize(
    "record",
    [
        None, [], {}, {"classes": {}}, {"classes": [], "gone": []},
        {"policy": 3}, {"budget_bytes": -1}, {"random": [{}, {}]}, {"classes": {"0": [0]}},
        {"classes": {"0": [0, 1], "1": [0, 1]}}, {"gone": [[2**70, 0]]},
        {"random": [{"state": "x", "inc": "1", "half": None}] * 2},
    ],
    ids=repr,
)  # fmt: skip
def test_a_record_that_is_none(record: Any, tmp_path: Path) -> None:
    """Whatever a file says of its buffer: the images are read, by the numbers of their classes."""
    from dataclasses import replace

    from drrpack.formats.container import write

    buffer = small()
    buffer.add(np.zeros((3, 32, 32, 3), np.uint8), [8, 9, 9])
    buffer.save(tmp_path / "mem.drr")
    with Reader(tmp_path / "mem.drr") as reader:
        memory = reader.memory()
    kept = memory.metadata["replay_buffer"]
    changed = {**kept, **record} if isinstance(record, dict) and record else record
    metadata = {**memory.metadata, "replay_buffer": changed}
    write(tmp_path / "mem.drr", replace(memory, metadata=metadata), overwrite=True)
    loaded = ReplayBuffer.load(tmp_path / "mem.drr", 9999)
    assert loaded.counts == {0: 1, 1: 2}


@pytest.mark.parametrize("draws", range(4))
def test_a_random_state_goes_on_after_any_draw(draws: int) -> None:
    """PCG64 keeps half of a number for the next small one."""
    random = np.random.default_rng(draws)
    for _ in range(draws):
        random.integers(10)
    again = generator_of(json.loads(json.dumps(state_of(random))))
    assert random.integers(10, size=9).tolist() == again.integers(10, size=9).tolist()
    assert random.random() == again.random()


# --- threads, workers, loaders ---


def test_threads(digits: tuple[Pixels, NDArray[np.int64]]) -> None:
    """Six add, draw and save at once; nothing is lost, and all that is drawn is what was added."""
    images, labels = digits
    whole = small(99_999)
    whole.add(images, labels)
    known = {
        (image.numpy().tobytes(), label) for image, label in whole.__getitems__(range(len(whole)))
    }
    buffer = small(5_000)
    buffer.add(images[:1], labels[:1])

    def work(number: int) -> None:
        for start in range(1 + number, 300, 30):
            buffer.add(images[start : start + 5], labels[start : start + 5])
            drawn = zip(*buffer.sample(min(5, len(buffer))), strict=True)
            assert all((image.numpy().tobytes(), int(label)) in known for image, label in drawn)
            assert buffer.bytes <= 5_000

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, 5 * number) for number in range(6)]:
            done.result()
    assert buffer.seen == 300 and buffer.bytes == 10 * CLASS + SMALL_IMAGE * len(buffer)
    assert len(buffer) == (5_000 - 10 * CLASS) // SMALL_IMAGE


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader(workers: int, digits: tuple[Pixels, NDArray[np.int64]]) -> None:
    buffer = small(policy="ring")
    buffer.add(digits[0][:60], digits[1][:60])
    loader = DataLoader(buffer, batch_size=16, num_workers=workers)
    found = [batch for batch in loader]
    assert torch.equal(
        torch.cat([images for images, _ in found]), torch.stack([image for image, _ in buffer])
    )
    assert torch.cat([labels for _, labels in found]).tolist() == buffer.targets


def test_a_pickled_copy(filled: ReplayBuffer) -> None:
    copy = pickle.loads(pickle.dumps(filled))
    assert copy.counts == filled.counts
    images, labels = copy.sample(9)
    again, same = pickle.loads(pickle.dumps(filled)).sample(9)
    assert torch.equal(images, again) and torch.equal(labels, same)
    copy.add(np.zeros((2, 32, 32, 3), np.uint8), [0, 99])
    assert 99 not in filled.counts and copy.seen == filled.seen + 2


def test_an_item_is_no_view_of_its_batch(filled: ReplayBuffer) -> None:
    assert filled.__getitems__([0, 1, 2])[0][0].untyped_storage().nbytes() == 3 * 32 * 32


@pytest.mark.parametrize("setting", ["all of them", "inside a device", "float64 by default"])
def test_settings_of_the_process(setting: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    floats = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255

    def work() -> tuple[torch.Tensor, list[int]]:
        buffer = small(3 * CLASS + 7 * 8)  # twenty codes of three bits take eight bytes
        assert buffer.sample(0)[0].device.type == "cpu"
        buffer.add(floats, [0, 1, 2] * 4)
        buffer.save(tmp_path / "mem.drr", force=True)
        loaded = pickle.loads(pickle.dumps(ReplayBuffer.load(tmp_path / "mem.drr")))
        drawn, _ = loaded.sample(3)
        return torch.cat([drawn, loaded[5][0][None]]), loaded.targets

    expected = work()
    with SETTINGS[setting]():
        found = work()
    assert found[0].device.type == "cpu" and torch.equal(found[0], expected[0])
    assert found[1] == expected[1] and len(found[1]) == 7
