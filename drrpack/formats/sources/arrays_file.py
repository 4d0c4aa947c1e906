"""A ``.npz`` file of arrays as a source: images and labels, as ``drrpack export`` writes them."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.errors import SourceError
from drrpack.formats.files.archives import DAMAGED
from drrpack.formats.sources.arrays import ArraySplit, content_hash
from drrpack.formats.sources.brightness import brightness_remarks
from drrpack.formats.sources.class_folders import TEST_NAME, TRAIN_NAME, VAL_NAMES
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.labels import Label, number_labels
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.shards import checked_files, is_shard
from drrpack.formats.sources.splits import Opened, Split, SplitData, shown

NAME = "npz"
ENDINGS = (".npz",)
PAIRS = (("x", "y"), ("images", "labels"))
NAMES = ("classes", "class_names")
EXPECTED = (
    "x and y (or images and labels), or x_train, y_train, x_test and y_test, and perhaps classes"
)
BOMB_BYTES, BOMB_RATIO = 1 << 31, 200  # an array that is larger, and was compressed further


@dataclass(frozen=True)
class _Header:
    """What the start of a stored array says; nothing of its content has been read."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


class ArraysFile:
    """One file of numpy's arrays; nothing in it is ever unpickled."""

    name: str = NAME
    everywhere: str | None = None
    takes: tuple[str, ...] = ()

    def recognises(self, given: Given) -> bool:
        path = path_of(given)
        return path is not None and is_shard(path, ENDINGS)

    def open(self, given: Given, how: Opening) -> Opened:
        given_path = path_of(given)
        assert given_path is not None
        path = Path(os.path.abspath(given_path))
        checked_files([path])
        images, labels, names = _read(path)
        classes, numbers = number_labels(
            labels, names, shown(path), lambda split, i: f"{shown(path)}, {split} label {i}"
        )
        size = _one_size(path, images, how.reading.size)
        if not set(how.splits) & set(images):
            raise SourceError(
                f"{shown(path)}: found no {' or '.join(how.splits)} split; expected {EXPECTED}"
            )
        splits = {
            split: _split(images[split], numbers[split], len(classes), how.reading.size)
            for split in images
        }
        wanted: dict[Split, SplitData] = {s: splits[s] for s in how.splits if s in splits}
        remarks = tuple(brightness_remarks(shown(path), [], how.reading))
        counts = splits["train"].counts
        return Opened(
            classes, size, counts, wanted, remarks=remarks, root=path, name=shown(path.name)
        )

    def files(self, root: Path, labelling: Labelling) -> Files:
        for split in _keys(root, _headers(root)):
            yield split, [(os.fsencode(root.name), root)]


def _read(
    path: Path,
) -> tuple[dict[Split, Pixels], dict[Split, Sequence[Label]], Sequence[str] | None]:
    """Images (N, H, W, 3) and labels of each split, and names of the labels."""
    headers = _headers(path)
    keys = _keys(path, headers)
    images, labels = dict[Split, Pixels](), dict[Split, Sequence[Label]]()
    try:
        with np.load(path, allow_pickle=False) as archive:
            for split, (of_images, of_labels) in keys.items():
                _check_images(path, headers[of_images])
                _check_labels(path, headers[of_labels], headers[of_images])
                images[split] = _rgb(archive[of_images])
                labels[split] = _texts(archive[of_labels]).reshape(-1).tolist()
            named = [key for key in headers if key.lower() in NAMES]
            names = _names(path, headers[named[0]], archive) if named else None
    except DAMAGED as error:
        raise _damaged(path, error) from error
    except MemoryError as error:
        raise SourceError(
            f"{shown(path)}: its arrays take more memory than there is; expected less: divide it"
        ) from error
    if names is not None and isinstance(labels["train"][:1], list) and _are_names(labels):
        names = None  # labels that are names say themselves what they are called
    return images, labels, names


def _are_names(labels: Mapping[Split, Sequence[Label]]) -> bool:
    return any(isinstance(label, str) for of_split in labels.values() for label in of_split[:1])


def _headers(path: Path) -> dict[str, _Header]:
    """The arrays in the file, by key; raises SourceError for what is no such file."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    key = info.filename.removesuffix(".npy")
                    with archive.open(info) as file:
                        found[key] = _header(key, file)
                    _refuse_bomb(path, key, info, found[key])
    except DAMAGED as error:
        raise _damaged(path, error) from error
    return found


def _header(key: str, file: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"the array {key!r} has version {version}")
    shape, _, dtype = readers[version](file)
    return _Header(key, shape, dtype)


def _refuse_bomb(path: Path, key: str, info: zipfile.ZipInfo, header: _Header) -> None:
    size = math.prod(header.shape) * header.dtype.itemsize
    if size > info.file_size or min(header.shape, default=0) < 0:
        raise ValueError(
            f"the array {key!r} of {header.shape} is larger than its {info.file_size} bytes"
        )
    if size > BOMB_BYTES and size > BOMB_RATIO * info.compress_size:
        raise SourceError(
            f"{shown(path)}: found an array {key!r} of {size} bytes, which were compressed to "
            f"{info.compress_size}, perhaps a decompression bomb; expected images: save it without "
            "compression if it is none"
        )


def _keys(path: Path, headers: Mapping[str, _Header]) -> dict[Split, tuple[str, str]]:
    """The keys of images and labels of each split; in capitals or not."""
    by_lower = {key.lower(): key for key in headers}
    whole = _pairs(by_lower, "{}")
    parts = {
        word: found
        for word in (TRAIN_NAME, TEST_NAME, *VAL_NAMES)
        if (found := _pairs(by_lower, "{}_" + word) + _pairs(by_lower, word + "_{}"))
    }
    several = [found for found in (whole, *parts.values()) if len(found) > 1]
    if several or (whole and parts) or not (whole or TRAIN_NAME in parts):
        there = ", ".join(sorted(headers)) or "nothing"
        raise SourceError(f"{shown(path)}: found the arrays {there}; expected {EXPECTED}")
    if whole:
        return {"train": whole[0]}
    tests = [found[0] for word, found in parts.items() if word != TRAIN_NAME]
    return {"train": parts[TRAIN_NAME][0], **({"test": tests[0]} if tests else {})}


def _pairs(by_lower: Mapping[str, str], form: str) -> list[tuple[str, str]]:
    pairs = [(form.format(images), form.format(labels)) for images, labels in PAIRS]
    return [(by_lower[i], by_lower[k]) for i, k in pairs if i in by_lower and k in by_lower]


def _check_images(path: Path, found: _Header) -> None:
    shape = found.shape
    if found.dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
        raise SourceError(
            f"{shown(path)}: found an array {found.key!r} of {found.dtype} {shape}; expected uint8 "
            "of (N, H, W, 3) or (N, H, W): scale values to 0 to 255, and transpose (N, 3, H, W)"
        )
    if 0 in shape:
        raise SourceError(f"{shown(path)}: found no images in {found.key!r} {shape}; expected some")


def _check_labels(path: Path, found: _Header, images: _Header) -> None:
    wanted = ((images.shape[0],), (images.shape[0], 1))
    if found.dtype.kind not in "iuUS" or found.shape not in wanted:
        raise SourceError(
            f"{shown(path)}: found an array {found.key!r} of {found.dtype} {found.shape} beside "
            f"{images.shape[0]} images; expected a whole number, or a text, for each image"
        )


def _names(path: Path, found: _Header, archive: Mapping[str, NDArray[np.generic]]) -> list[str]:
    if found.dtype.kind not in "US" or len(found.shape) != 1:
        raise SourceError(
            f"{shown(path)}: found an array {found.key!r} of {found.dtype} {found.shape}; expected "
            "the names of the classes: np.array(names, dtype=str)"
        )
    names: list[str] = _texts(archive[found.key]).tolist()
    return names


def _texts(values: NDArray[np.generic]) -> NDArray[np.generic]:
    if values.dtype.kind != "S":
        return values
    return np.char.decode(values.astype(np.bytes_), "utf-8")


def _rgb(images: NDArray[np.generic]) -> Pixels:
    pixels: Pixels = np.asarray(images, np.uint8)
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else np.ascontiguousarray(pixels)


def _one_size(path: Path, images: Mapping[Split, Pixels], size: int | None) -> tuple[int, int]:
    sizes = {(array.shape[1], array.shape[2]) for array in images.values()}
    if size is not None:
        return size, size
    if len(sizes) > 1:
        raise SourceError(
            f"{shown(path)}: found images of {len(sizes)} sizes in its splits; expected one size: "
            "give `size=N` to bring all to N x N pixels"
        )
    return sizes.pop()


def _split(
    images: Pixels, labels: NDArray[np.int64], class_count: int, size: int | None
) -> ArraySplit:
    hashes = ((NAME.encode(), content_hash(images, labels)),)
    return ArraySplit(images, labels, class_count, size, hashes, "the images of an array")


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"{shown(path)}: can't be read as a .npz file: {error}; expected arrays that np.savez "
        "wrote, without Python objects: save it again"
    )
