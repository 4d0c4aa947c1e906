"""DRRDataset: items, codes, workers, pickling, caches; files that are not as they were."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from drrpack import CorruptError, DRRDataset, FormatError, OptionError
from drrpack.core.codes import Codes
from drrpack.formats import memory
from drrpack.formats.container import Reader
from drrpack.formats.sources.source import open_source

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # what torch and Python think of many workers on a small machine is not what is tested here
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def encoded(each_drr: Path, digits_folder: Path) -> list[Codes]:
    """The codes of every class, made anew from the pictures."""
    source = open_source(digits_folder)
    with Reader(each_drr) as reader:
        codec = memory.load_codec(reader, torch.device("cpu"))
    return [codec.encode(source.load(label)) for label in range(10)]


def loaded(dataset: DRRDataset, **options: Any) -> tuple[NDArray[np.uint8], list[int]]:
    """All that a `DataLoader` gives, as pixels (N, H, W, 3) and labels."""
    batches = list(DataLoader(dataset, **options))
    images = torch.cat([images for images, _ in batches]).permute(0, 2, 3, 1).numpy()
    return images, torch.cat([labels for _, labels in batches]).tolist()


def damage(path: Path, row: int, level: str = "bottom") -> None:
    """Flip one bit in the middle of a stream."""
    with Reader(path) as reader:
        stream = reader.stream(row, level)  # type: ignore[arg-type]
    content = bytearray(path.read_bytes())
    assert content.count(stream) == 1
    content[content.index(stream) + len(stream) // 2] ^= 4
    path.write_bytes(content)


GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "context.drr"


def test_its_device_is_chosen_as_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    dataset = DRRDataset(GOLDEN, device="auto")
    assert dataset.device == torch.device("cpu") and len(dataset[0][0]) == 3
    for device, words in (("cuda", "finds no CUDA device"), ("abacus", "say auto, cpu or cuda")):
        with pytest.raises(OptionError, match=words):
            DRRDataset(GOLDEN, device=device)


# --- items ---------------------------------------------------------------------------------------


def test_bitswap_is_in_the_streams(bitswap_drr: Path) -> None:
    codec = DRRDataset(bitswap_drr).codec
    for level in (codec.top, codec.bottom):
        assert level.layout.steps(30) >= 1, "the tests below would show nothing of Bit-Swap"


def test_what_it_says_of_itself(dataset: DRRDataset, digits_drr: Path) -> None:
    assert len(dataset) == 300
    assert dataset.classes == [str(digit) for digit in range(10)]
    assert dataset.class_to_idx == {str(digit): digit for digit in range(10)}
    assert dataset.targets == [digit for digit in range(10) for _ in range(30)]
    assert dataset.image_size == (32, 32)
    assert str(digits_drr) in repr(dataset) and "300 images of 32x32" in repr(dataset)


def test_an_item(dataset: DRRDataset, pixels: NDArray[np.uint8]) -> None:
    image, label = dataset[31]
    assert image.shape == (3, 32, 32) and image.dtype == torch.uint8 and image.is_contiguous()
    assert label == 1 and type(label) is int
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), pixels[31])


def test_images_differ_so_that_order_matters(pixels: NDArray[np.uint8]) -> None:
    assert len({image.tobytes() for image in pixels}) > 200


def test_it_can_be_walked_through(digits_drr: Path) -> None:
    dataset = DRRDataset(digits_drr, classes=[3])
    assert [label for _, label in dataset] == [0] * 30  # type: ignore[attr-defined]


def test_transforms(digits_drr: Path, dataset: DRRDataset) -> None:
    changed = DRRDataset(
        digits_drr,
        transform=lambda image: image.float() / 255,
        target_transform=lambda label: f"digit {label}",
    )
    image, label = changed[45]
    assert label == "digit 1" and changed.targets[45] == 1
    torch.testing.assert_close(image, dataset[45][0].float() / 255)


def test_a_transform_in_place_spoils_nothing(digits_drr: Path) -> None:
    dataset = DRRDataset(digits_drr, classes=["0"], transform=lambda image: image.zero_())
    before = dataset.pixels([0])
    assert not dataset[0][0].any() and before.any()
    np.testing.assert_array_equal(dataset.pixels([0]), before)


def test_batches_equal_single_items(dataset: DRRDataset) -> None:
    where = [299, 0, 31, 0, -1, 150]
    for (image, label), index in zip(dataset.__getitems__(where), where, strict=True):
        torch.testing.assert_close((image, label), dataset[index], rtol=0, atol=0)
    assert dataset.__getitems__([]) == []


def test_codes_are_those_that_were_encoded(each_dataset: DRRDataset, encoded: list[Codes]) -> None:
    top, bottom = each_dataset.codes(range(300))
    assert top.shape == (300, 4, 4) and bottom.shape == (300, 8, 8)
    assert top.dtype == bottom.dtype == torch.int64
    np.testing.assert_array_equal(top, np.concatenate([c.top for c in encoded]))
    np.testing.assert_array_equal(bottom, np.concatenate([c.bottom for c in encoded]))


def test_codes_in_any_order(each_dataset: DRRDataset) -> None:
    where = [250, 3, 3, 77]
    every_code = each_dataset.codes(range(300))
    for some, every in zip(each_dataset.codes(where), every_code, strict=True):
        assert torch.equal(some, every[where])


def test_pixels_are_the_decoded_codes(each_dataset: DRRDataset, encoded: list[Codes]) -> None:
    pixels = each_dataset.to_numpy()[0]
    for label, codes in enumerate(encoded):
        decoded = each_dataset.codec.decode(codes, (32, 32))
        np.testing.assert_array_equal(pixels[30 * label : 30 * label + 30], decoded)


def test_to_numpy(dataset: DRRDataset) -> None:
    images, labels = dataset.to_numpy()
    assert images.shape == (300, 32, 32, 3) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and labels.tolist() == dataset.targets
    for index in (0, 29, 30, 299):
        np.testing.assert_array_equal(images[index], dataset[index][0].permute(1, 2, 0))


# --- some classes alone --------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [["7", "2"], [7, 2], ["7", 2], np.array([7, 2])])
def test_some_classes(
    digits_drr: Path, classes: Any, pixels: NDArray[np.uint8], streams_read: list[tuple[int, str]]
) -> None:
    dataset = DRRDataset(digits_drr, classes=classes)
    assert dataset.classes == ["7", "2"] and dataset.class_to_idx == {"7": 0, "2": 1}
    assert dataset.targets == [0] * 30 + [1] * 30
    expected = np.concatenate([pixels[210:240], pixels[60:90]])
    np.testing.assert_array_equal(dataset.to_numpy()[0], expected)
    assert sorted(streams_read) == [(2, "bottom"), (2, "top"), (7, "bottom"), (7, "top")]


def test_only_what_is_asked_for_is_read(
    digits_drr: Path, streams_read: list[tuple[int, str]]
) -> None:
    dataset = DRRDataset(digits_drr)
    assert streams_read == []
    dataset[120], dataset[121]
    assert streams_read == [(4, "top"), (4, "bottom")]
    assert dataset.preload() is dataset
    assert len(streams_read) == len(set(streams_read)) == 20
    dataset.to_numpy()
    assert len(streams_read) == 20


@pytest.mark.parametrize(
    "unknown",
    [["cat"], [10], [-1], [0, "cat"], [1.5], [1.0], [True], [np.True_], [None], [b"1"], [[1]]],
)
def test_an_unknown_class(digits_drr: Path, unknown: list[Any]) -> None:
    with pytest.raises(OptionError, match="has no class") as caught:
        DRRDataset(digits_drr, classes=unknown)
    assert str(digits_drr) in str(caught.value) and repr(unknown[-1]) in str(caught.value)


def test_classes_are_a_list(digits_drr: Path) -> None:
    with pytest.raises(OptionError, match=r"classes='12': give a list, \['12'\]"):
        DRRDataset(digits_drr, classes="12")
    with pytest.raises(OptionError, match=r"classes=2: give a list, \[2\]"):
        DRRDataset(digits_drr, classes=2)  # type: ignore[arg-type]


def test_a_class_twice(digits_drr: Path) -> None:
    with pytest.raises(OptionError, match="twice"):
        DRRDataset(digits_drr, classes=["1", 1])


def test_no_class_at_all(digits_drr: Path) -> None:
    dataset = DRRDataset(digits_drr, classes=[])
    images, labels = dataset.to_numpy()
    assert len(dataset) == 0 and dataset.targets == []
    assert images.shape == (0, 32, 32, 3) and labels.shape == (0,)


# --- memory, pickling, several at once -----------------------------------------------------------


@pytest.mark.parametrize("cache_bytes", [0, 1, 5 * 32 * 32 * 3 + 7, 100 * 32 * 32 * 3, 2**30])
def test_the_cache_changes_nothing(
    digits_drr: Path, cache_bytes: int, pixels: NDArray[np.uint8]
) -> None:
    dataset = DRRDataset(digits_drr, classes=range(3), cache_bytes=cache_bytes)
    order = np.random.default_rng(0)
    for _ in range(6):
        where = order.integers(0, 90, 20)
        np.testing.assert_array_equal(dataset.pixels(where), pixels[where])


def test_cached_pixels_are_not_decoded_again(
    digits_drr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = DRRDataset(digits_drr, classes=["5"])
    first = dataset.pixels(range(30))
    monkeypatch.setattr(DRRDataset, "codec", None)
    np.testing.assert_array_equal(dataset.pixels(range(30)), first)


@pytest.mark.parametrize("read_before", [False, True])
def test_pickling(digits_drr: Path, read_before: bool, pixels: NDArray[np.uint8]) -> None:
    dataset = DRRDataset(digits_drr, cache_bytes=10**6)
    if read_before:
        dataset.pixels([0, 40, 80])
    data = pickle.dumps(dataset)
    assert len(data) < 200_000, "neither pixels nor networks travel"
    for copied in (pickle.loads(data), copy.deepcopy(dataset)):
        np.testing.assert_array_equal(copied.pixels([1, 40, 299]), pixels[[1, 40, 299]])
        assert copied.classes == dataset.classes and len(copied) == 300


def test_two_datasets_on_one_file(digits_drr: Path, pixels: NDArray[np.uint8]) -> None:
    one = DRRDataset(digits_drr, classes=["0", "1"])
    two = DRRDataset(digits_drr, classes=["1", "0"])
    for index in range(0, 60, 7):
        np.testing.assert_array_equal(one.pixels([index])[0], pixels[index])
        np.testing.assert_array_equal(two.pixels([(index + 30) % 60])[0], pixels[index])


# --- under a DataLoader --------------------------------------------------------------------------


def test_a_plain_training_loop(digits_drr: Path) -> None:
    torch.manual_seed(0)
    dataset = DRRDataset(digits_drr, transform=lambda image: image / 255).preload()
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    with_workers = DataLoader(dataset, batch_size=128, shuffle=True, num_workers=2)
    for images, labels in [batch for _ in range(2) for batch in with_workers]:
        assert images.shape[1:] == (3, 32, 32) and labels.dtype == torch.int64
        loss = nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert len(losses) == 6 and losses[-1] < losses[0]


@pytest.mark.parametrize("workers", [0, 1, 8])
def test_any_number_of_workers(each_dataset: DRRDataset, each_drr: Path, workers: int) -> None:
    pixels, dataset = each_dataset.to_numpy()[0], DRRDataset(each_drr)
    if workers == 8:
        dataset.preload()  # as one should; with fewer each worker decodes the codes it needs
    images, labels = loaded(dataset, batch_size=50, num_workers=workers)
    np.testing.assert_array_equal(images, pixels)
    assert labels == [digit for digit in range(10) for _ in range(30)]


@pytest.mark.parametrize(
    "method", ["fork", *(pytest.param(m, marks=pytest.mark.slow) for m in ("forkserver", "spawn"))]
)
def test_any_start_method(digits_drr: Path, method: str, pixels: NDArray[np.uint8]) -> None:
    dataset = DRRDataset(digits_drr)
    dataset.pixels([0, 100])  # so that a descriptor, codes and a network are open in the parent
    torch.set_num_threads(2)
    torch.ones(1 << 20).exp()  # and a pool of threads, which a fork does not take along
    torch.set_num_threads(1)
    options = {"num_workers": 2, "multiprocessing_context": method}
    images, _ = loaded(dataset, batch_size=64, **options)
    np.testing.assert_array_equal(images, pixels)
    np.testing.assert_array_equal(dataset.pixels([150]), pixels[[150]])


# --- files that are not as they were -------------------------------------------------------------


def test_damage_names_the_file_and_the_class(own_drr: Path, pixels: NDArray[np.uint8]) -> None:
    damage(own_drr, 7)
    dataset = DRRDataset(own_drr)
    with pytest.raises(CorruptError, match="class 7") as caught:
        dataset.to_numpy()
    assert str(own_drr) in str(caught.value)
    with pytest.raises(CorruptError, match="class 7"):
        dataset[210]
    healthy = [*range(210), *range(240, 300)]
    np.testing.assert_array_equal(dataset.pixels(healthy), pixels[healthy])


@pytest.mark.parametrize("level", ["top", "bottom"])
def test_a_stream_of_another_class_is_no_stream_of_this(own_drr: Path, level: str) -> None:
    """Right checksums over words that hold other codes: found while decoding, or decoded."""
    with Reader(own_drr) as reader:
        codec = memory.load_codec(reader, torch.device("cpu"))
        made = [*memory._streams_of([(reader, 0), (reader, 1)])]
    changed = copy.copy(made[0])
    words = getattr(changed, level)[:-1]
    object.__setattr__(changed, level, words)
    with pytest.raises(CorruptError):
        codec.decompress([changed], (4, 4))


def test_damage_reaches_the_user_through_workers(own_drr: Path) -> None:
    damage(own_drr, 2, "top")
    with pytest.raises(CorruptError, match="class 2"):
        loaded(DRRDataset(own_drr), batch_size=100, num_workers=1)


def test_a_damaged_network_is_named(own_drr: Path) -> None:
    with Reader(own_drr) as reader:
        weights = reader.vqvae.data
    content = bytearray(own_drr.read_bytes())
    content[content.index(weights) + 1000] ^= 1
    own_drr.write_bytes(content)
    dataset = DRRDataset(own_drr)
    with pytest.raises(CorruptError, match="vqvae") as caught:
        dataset[0]
    assert str(own_drr) in str(caught.value)


@pytest.fixture
def other_drr(own_drr: Path, tmp_path: Path) -> Path:
    """A sound file with other content: the classes in reverse."""
    from drr_files import read_all

    from drrpack.formats.container import write

    content = read_all(own_drr)
    content.classes.reverse()
    write(tmp_path / "other.drr", content)
    return tmp_path / "other.drr"


def test_replaced_while_open(own_drr: Path, other_drr: Path, pixels: NDArray[np.uint8]) -> None:
    dataset = DRRDataset(own_drr)
    dataset[0]
    shutil.move(other_drr, own_drr)
    np.testing.assert_array_equal(dataset.pixels([100]), pixels[[100]])  # still open in here
    forked = {"num_workers": 1, "multiprocessing_context": "fork"}
    np.testing.assert_array_equal(loaded(dataset, batch_size=100, **forked)[0], pixels)
    with pytest.raises(FormatError, match="another file than the one that was opened"):
        pickle.loads(pickle.dumps(dataset))[299]


def test_replaced_by_a_copy(own_drr: Path, digits_drr: Path, pixels: NDArray[np.uint8]) -> None:
    dataset = pickle.loads(pickle.dumps(DRRDataset(own_drr)))
    own_drr.unlink()
    with pytest.raises(FormatError, match="no such file"):
        dataset[0]
    shutil.copy(digits_drr, own_drr)
    np.testing.assert_array_equal(dataset.pixels([7]), pixels[[7]])


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no memory")
    for name in ("notes.txt", "absent.drr", "."):
        with pytest.raises(FormatError):
            DRRDataset(tmp_path / name)
