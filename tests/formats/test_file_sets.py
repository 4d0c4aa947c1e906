"""A memory of several files beside the same files, each read alone."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drr_files import read_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from drrpack import DRRDataset, MissingError, OptionError
from drrpack.formats.class_names import unite
from drrpack.formats.container import write
from drrpack.formats.file_set import files_of

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than cores
]

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def alone(digits_drr: Path, bitswap_drr: Path) -> dict[Path, NDArray[np.uint8]]:
    """All images of two files of different codecs, (10, 30, H, W, 3)."""
    paths = digits_drr, bitswap_drr
    return {path: DRRDataset(path).to_numpy()[0].reshape(10, 30, 32, 32, 3) for path in paths}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Writes a file with some classes of another, under other names."""

    def made(name: str, source: Path, classes: dict[str, int], **more: Any) -> Path:
        content = read_all(source)
        chunks = [
            replace(content.chunks[old], class_index=new)
            for new, old in enumerate(classes.values())
        ]
        changed = {"metadata": {}, "raw": [], **more}
        write(
            tmp_path / name,
            replace(content, classes=list(classes), chunks=chunks, **changed),
            overwrite=True,
        )
        return tmp_path / name

    return made


@pytest.fixture
def two(build: Build, digits_drr: Path, bitswap_drr: Path) -> list[Path]:
    """Files of two codecs: cat, dog and ant; then eel, and dog by another spelling."""
    return [
        build("a.drr", digits_drr, {"cat": 3, "dog": 1, "ant": 2}),
        build("b.drr", bitswap_drr, {"eel": 0, "Dog": 7}),
    ]


def test_classes_are_united(two: list[Path], alone: dict[Path, NDArray[np.uint8]]) -> None:
    dataset = DRRDataset(two)
    assert dataset.classes == ["cat", "dog", "ant", "eel"]
    assert dataset.targets == [0] * 30 + [1] * 60 + [2] * 30 + [3] * 30
    one, other = alone.values()
    expected = np.concatenate([one[3], one[1], other[7], one[2], other[0]])
    images, labels = dataset.to_numpy()
    np.testing.assert_array_equal(images, expected)
    assert labels.tolist() == dataset.targets
    where = [149, 31, 61, 0, 90]
    np.testing.assert_array_equal(dataset.pixels(where), expected[where])
    top, bottom = dataset.codes(where)
    first = DRRDataset(two[0]).codes([31, 0])
    assert torch.equal(top[[1, 3]], first[0]) and torch.equal(bottom[[1, 3]], first[1])


def test_some_classes_of_several_files(
    two: list[Path], alone: dict[Path, NDArray[np.uint8]]
) -> None:
    dataset = DRRDataset(two, classes=["eel", 1])
    one, other = alone.values()
    assert dataset.classes == ["eel", "dog"]
    expected = np.concatenate([other[0], one[1], other[7]])
    np.testing.assert_array_equal(dataset.to_numpy()[0], expected)
    with pytest.raises(OptionError, match=r"'fox'.*4: 'cat', 'dog', 'ant', 'eel'"):
        DRRDataset(two, classes=["fox"])


def test_copies_workers_and_threads(two: list[Path]) -> None:
    dataset = DRRDataset(two).preload()
    expected = dataset.to_numpy()[0]
    copied = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copied.pixels([149, 70, 2]), expected[[149, 70, 2]])
    loader = DataLoader(dataset, batch_size=75, num_workers=2, multiprocessing_context="fork")
    images = torch.cat([batch for batch, _ in loader]).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(images.numpy(), expected)


def test_addresses_that_are_shown_alike(
    build: Build, digits_drr: Path, alone: dict[Path, NDArray[np.uint8]]
) -> None:
    """Files that differ in what follows ``?``, which no message shows."""
    fsspec = pytest.importorskip("fsspec")
    addresses = [f"memory://alike/mem.drr?part={n}" for n in range(2)]
    for number, address in enumerate(addresses):
        with fsspec.open(address, "wb") as file:
            file.write(build("a.drr", digits_drr, {f"digit {number}": number}).read_bytes())
    dataset = DRRDataset(addresses)
    assert [str(reader.path) for reader in dataset.readers] == ["memory://alike/mem.drr?***"] * 2
    assert dataset.classes == ["digit 0", "digit 1"]
    np.testing.assert_array_equal(
        dataset.to_numpy()[0], alone[digits_drr][:2].reshape(-1, 32, 32, 3)
    )


def test_what_a_set_has_not(two: list[Path]) -> None:
    dataset = DRRDataset(two)
    assert [reader.path for reader in dataset.readers] == two
    for name in ("reader", "codec"):
        with pytest.raises(OptionError, match=r"found 2 files, expected one.*drrpack merge"):
            getattr(dataset, name)
    assert str(two[0]) in repr(dataset) and "150 images" in repr(dataset)
    assert DRRDataset(two[:1]).reader.path == two[0]


def test_class_order(build: Build, digits_drr: Path) -> None:
    a = build("a.drr", digits_drr, {"cat": 0, "dog": 1}, metadata={"class_order": ["dog", "cat"]})
    b = build("b.drr", digits_drr, {"eel": 2, "cat": 3, "ant": 4})
    assert DRRDataset([a, b]).class_order == [1, 0, 2, 3]
    assert DRRDataset([b, a]).class_order == [0, 1, 2, 3]
    assert DRRDataset([a, b], classes=["ant", "cat", "dog"]).class_order == [2, 1, 0]


def test_raw_pairs_of_several_files(build: Build, digits_drr: Path, tmp_path: Path) -> None:
    from drrpack.formats.raw import pack

    raw = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3), dtype=np.uint8)
    a = build("a.drr", digits_drr, {"cat": 0, "dog": 1}, raw=pack(1, [4, 9, 20], raw[0]))
    b = build("b.drr", digits_drr, {"dog": 5}, raw=pack(0, [0, 1, 2], raw[1]))
    dataset = DRRDataset([a, b], raw="pairs")
    stored, _, labels = zip(*dataset.__getitems__(range(6)), strict=True)
    assert labels == (1,) * 6
    np.testing.assert_array_equal(
        torch.stack(stored).permute(0, 2, 3, 1), raw.reshape(6, 32, 32, 3)
    )
    every = DRRDataset([a, b])
    reconstructions = np.stack([pair[1].permute(1, 2, 0) for pair in dataset])  # type: ignore[attr-defined]
    np.testing.assert_array_equal(reconstructions, every.pixels([34, 39, 50, 60, 61, 62]))


def test_other_sizes_are_refused(build: Build, digits_drr: Path) -> None:
    a = build("a.drr", digits_drr, {"cat": 0})
    b = build("b.drr", digits_drr, {"dog": 1}, image_size=(30, 31))
    with pytest.raises(OptionError, match=r"32x32 in .*a\.drr and of 31x30 in .*b\.drr"):
        DRRDataset([a, b])


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_access_to_a_random_set(
    data: st.DataObject, build: Build, digits_drr: Path, bitswap_drr: Path,
    alone: dict[Path, NDArray[np.uint8]],
) -> None:  # fmt: skip
    """Items are the images of arrays that were decoded file by file."""
    files, classes = [], dict[str, list[NDArray[np.uint8]]]()
    for number in range(data.draw(st.integers(1, 4))):
        source = data.draw(st.sampled_from([digits_drr, bitswap_drr]))
        names = data.draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=3, unique=True))
        chosen = {name: data.draw(st.integers(0, 9)) for name in names}
        files.append(build(f"{number}.drr", source, chosen))
        for name, old in chosen.items():
            classes.setdefault(name, []).append(alone[source][old])
    expected = [
        (image, n) for n, parts in enumerate(classes.values()) for image in np.concatenate(parts)
    ]
    bound = data.draw(st.sampled_from([0, 7000, 10**6]))
    dataset = DRRDataset(
        files, codes_bytes=bound, cache_bytes=data.draw(st.sampled_from([0, 10**6]))
    )
    assert dataset.classes == list(classes) and len(dataset) == len(expected)
    where = data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=6))
    for (image, label), index in zip(dataset.__getitems__(where), where, strict=True):
        assert label == expected[index][1]
        np.testing.assert_array_equal(image.permute(1, 2, 0), expected[index][0])


# --- which files, and which classes --------------------------------------------------------------


def test_patterns(tmp_path: Path) -> None:
    for name in ("mem-2.drr", "mem-1.drr", "mem-[12].drr", "other.drr"):
        (tmp_path / name).touch()
    literal = tmp_path / "mem-[12].drr"
    assert files_of(literal) == files_of(str(literal)) == [literal]
    literal.unlink()
    found = [tmp_path / "mem-1.drr", tmp_path / "mem-2.drr"]
    assert files_of(str(literal)) == files_of(tmp_path / "mem-?.drr") == found
    assert files_of([found[1], str(literal)]) == [found[1], found[0]]
    assert files_of("memory://a/mem-*.drr") == ["memory://a/mem-*.drr"]
    with pytest.raises(MissingError, match=r"x\*.drr: there is no such file, and no file fits"):
        files_of(tmp_path / "x*.drr")
    with pytest.raises(OptionError, match="found no files, expected one at least"):
        DRRDataset([])


def test_a_name_with_the_signs_of_a_pattern(digits_drr: Path, tmp_path: Path) -> None:
    shutil.copy(digits_drr, tmp_path / "a[1]*.drr")
    assert len(DRRDataset(tmp_path / "a[1]*.drr")) == 300
    shutil.copy(digits_drr, tmp_path / "b.drr")
    assert len(DRRDataset(str(tmp_path / "*.drr"))) == 600


@pytest.mark.parametrize(
    ("files", "classes", "numbers"),
    [
        ([["cat", "dog"], ["dog", "eel"]], ["cat", "dog", "eel"], [[0, 1], [1, 2]]),
        ([["Caf\u00e9"], ["cafe\u0301 "]], ["Caf\u00e9"], [[0], [0]]),
        ([["cat", "Cat"], ["Cat"]], ["cat", "Cat"], [[0, 1], [1]]),
        ([["cat"], ["Cat", "cat"], ["Cat"]], ["cat", "Cat"], [[0], [1, 0], [1]]),
        ([["cat"], ["Cat", "CAT"]], ["cat", "Cat", "CAT"], [[0], [1, 2]]),
        ([["cat"], ["Cat"], ["CAT"]], ["cat"], [[0], [0], [0]]),
    ],
)
def test_which_names_are_one_class(
    files: list[list[str]], classes: list[str], numbers: list[list[int]]
) -> None:
    assert unite((str(n), names) for n, names in enumerate(files)) == (classes, numbers)


def test_a_name_of_two_classes() -> None:
    with pytest.raises(OptionError, match="b: found a class 'CAT', which may be 'cat' and 'Cat'"):
        unite([("a", ["cat", "Cat"]), ("b", ["CAT"])])
