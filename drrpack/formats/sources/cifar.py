"""CIFAR-10 and CIFAR-100 as a source, from the pickled files that torchvision downloads."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drrpack.core.arrays import Pixels
from drrpack.core.errors import OptionError, SourceError
from drrpack.formats.layout import MAX_CLASSES, MAX_NAME_BYTES
from drrpack.formats.sources import safe_pickle
from drrpack.formats.sources.arrays import ArraySplit
from drrpack.formats.sources.class_folders import checked_folder
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.opening import Files, Given, Opening, path_of
from drrpack.formats.sources.safe_pickle import StoredArray
from drrpack.formats.sources.splits import Opened, Split, refuse_twins, shown

SIDE = 32
VALUES = 3 * SIDE * SIDE


@dataclass(frozen=True)
class Layout:
    """Where one of the two data sets keeps what."""

    name: str
    folder: str
    meta: str
    meta_key: str
    label_key: str
    files: Mapping[Split, tuple[str, ...]]


LAYOUTS = (
    Layout(
        name="cifar100",
        folder="cifar-100-python",
        meta="meta",
        meta_key="fine_label_names",
        label_key="fine_labels",
        files={"train": ("train",), "test": ("test",)},
    ),
    Layout(
        name="cifar10",
        folder="cifar-10-batches-py",
        meta="batches.meta",
        meta_key="label_names",
        label_key="labels",
        files={
            "train": tuple(f"data_batch_{i}" for i in range(1, 6)),
            "test": ("test_batch",),
        },
    ),
)


class Cifar:
    """A folder with the files of one of the two data sets, or one that holds such a folder."""

    name: str = "cifar"
    everywhere: str | None = None
    takes: tuple[str, ...] = ()

    def recognises(self, given: Given) -> bool:
        path = path_of(given)
        return path is not None and os.path.isdir(path) and find_cifar(_absolute(path)) is not None

    def open(self, given: Given, how: Opening) -> Opened:
        path = path_of(given)
        assert path is not None
        root = checked_folder(path)
        found = find_cifar(root)
        assert found is not None
        opened = open_cifar(*found, how.reading.size, how.splits)
        return replace(opened, root=root, name=shown(root.name))

    def files(self, root: Path, labelling: Labelling) -> Files:
        found = find_cifar(root)
        if found is not None:
            folder, layout = found
            for split, names in layout.files.items():
                yield split, [(name.encode(), folder / name) for name in names]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def find_cifar(root: Path) -> tuple[Path, Layout] | None:
    """The folder with CIFAR's files: ``root`` itself or one in it; None where there is neither."""
    for layout in LAYOUTS:
        files = [layout.meta, *layout.files["train"]]
        if root.name == layout.folder or all(os.path.isfile(root / name) for name in files):
            return root, layout
    inner = [(root / layout.folder, layout) for layout in LAYOUTS]
    inner = [(folder, layout) for folder, layout in inner if os.path.isdir(folder)]
    if len(inner) > 1:
        raise SourceError(
            f"{shown(root)}: found two data sets, {inner[0][1].folder} and {inner[1][1].folder}; "
            "expected one: name the folder of the one that you mean"
        )
    return inner[0] if inner else None


def open_cifar(root: Path, layout: Layout, size: int | None, splits: Sequence[Split]) -> Opened:
    """Read and check CIFAR's files; raises SourceError where one is missing or not as it must."""
    classes = _class_names(root / layout.meta, layout)
    opened = {split: _read_split(root, layout, split, len(classes), size) for split in splits}
    for split, found in opened.items():
        if 0 in found.counts:
            name = classes[found.counts.index(0)]
            raise SourceError(
                f"{shown(root)}: found no pictures of the class {name!r} in the {split} split; "
                f"expected some of each: {_fix(layout)}"
            )
    side = size or SIDE
    train = opened.get("train") or _read_split(root, layout, "train", len(classes), size)
    return Opened(classes, (side, side), train.counts, dict(opened))


def download(name: str, root: str | os.PathLike[str]) -> Path:
    """Fetch ``cifar10`` or ``cifar100`` into ``root`` by torchvision; returns CIFAR's folder.

    What is there already, and whole, is not fetched again. Raises SourceError where the network
    or the disk fails, OptionError for another name.
    """
    layouts = {layout.name: layout for layout in LAYOUTS}
    if name not in layouts:
        raise OptionError(
            f"`download={name!r}`: found an unknown data set; expected one of "
            f"{', '.join(sorted(layouts))}",
            option="download",
        )
    folder = Path(os.path.abspath(root)) / layouts[name].folder
    datasets = importlib.import_module("torchvision.datasets")  # slow: only when asked for
    kind = getattr(datasets, name.upper())
    try:
        kind(os.fspath(folder.parent), download=True)
    except Exception as error:  # network, disk, checksum and archive errors share no base
        raise SourceError(
            f"{shown(folder)}: {name} can't be downloaded from {kind.url}: {error}; expected a "
            "connection and room on the disk: try again, or fetch and unpack the archive there "
            "by other means, and name the folder"
        ) from error
    return folder


def _class_names(path: Path, layout: Layout) -> tuple[str, ...]:
    names = _read_dict(path, layout)[0].get(layout.meta_key)
    if not isinstance(names, list) or not names:
        raise _damaged(path, f"no list {layout.meta_key!r}", "the names of the classes", layout)
    if not all(isinstance(name, (bytes, str)) for name in names):
        raise _damaged(path, "a class name that is no text", "names", layout)
    # one long name may stand in a pickle once and in the list a million times
    if len(names) > MAX_CLASSES or max(map(len, names)) > MAX_NAME_BYTES:
        found = f"{len(names)} class names of up to {max(map(len, names))} letters"
        raise _damaged(path, found, f"up to {MAX_CLASSES} of {MAX_NAME_BYTES}", layout)
    try:
        texts = tuple(n.decode() if isinstance(n, bytes) else n for n in names)
    except UnicodeDecodeError as error:
        raise _damaged(path, "a class name that is not UTF-8", "UTF-8", layout) from error
    refuse_twins(texts, shown(path))
    return texts


def _read_split(
    root: Path, layout: Layout, split: Split, class_count: int, size: int | None
) -> ArraySplit:
    """One split from its one or five files."""
    images, labels, hashes = [], [], []
    for name in layout.files[split]:
        content, sha256 = _read_dict(root / name, layout)
        data, of_file = _checked_batch(root / name, content, layout, class_count)
        images.append(data)
        labels.append(of_file)
        hashes.append((name.encode(), sha256))
    planes = np.concatenate(images).reshape(-1, 3, SIDE, SIDE)
    pixels = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))  # (N, 32, 32, 3)
    every = np.concatenate(labels)
    return ArraySplit(pixels, every, class_count, size, tuple(hashes), "CIFAR's pictures")


def _checked_batch(
    path: Path, content: Mapping[object, object], layout: Layout, class_count: int
) -> tuple[Pixels, NDArray[np.int64]]:
    """The (n, 3072) uint8 pixels and (n,) int64 labels of one file."""
    stored, labels = content.get("data"), content.get(layout.label_key)
    data = _pixels(stored) if isinstance(stored, StoredArray) else None
    if data is None:
        raise _damaged(path, "no array 'data' of bytes", f"(n, {VALUES}) uint8", layout)
    if not isinstance(labels, list) or len(labels) != len(data):
        raise _damaged(path, f"no {len(data)} {layout.label_key!r}", "one each picture", layout)
    if not all(type(label) is int and 0 <= label < class_count for label in labels):
        raise _damaged(path, "a label out of range", f"0 to {class_count - 1}", layout)
    return data, np.array(labels, np.int64)


def _pixels(stored: StoredArray) -> Pixels | None:
    """The array as (n, 3072) uint8, or None if it is none."""
    shape, raw = stored.shape, stored.bytes_of("u1")
    if raw is None or len(raw) % VALUES or shape != (len(raw) // VALUES, VALUES):
        return None
    return np.frombuffer(raw, np.uint8).reshape(-1, VALUES)


def _read_dict(path: Path, layout: Layout) -> tuple[dict[object, object], bytes]:
    """The dict pickled in a file, with text for its keys, and the sha256 of the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _damaged(path, f"{error.strerror}", f"a file of {layout.name}", layout) from error
    try:
        read = safe_pickle.loads(content)
    except Exception as error:  # a damaged pickle raises nearly everything
        raise _damaged(path, f"{error}", f"a pickle of {layout.name}", layout) from error
    if not isinstance(read, dict):
        raise _damaged(path, f"a pickled {type(read).__name__}", "a dict", layout)
    texts = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in read.items()}
    return texts, hashlib.sha256(content).digest()


def _damaged(path: Path, found: str, expected: str, layout: Layout) -> SourceError:
    return SourceError(f"{shown(path)}: found {found}; expected {expected}: {_fix(layout)}")


def _fix(layout: Layout) -> str:
    return f"fetch it again with `download={layout.name!r}`"
