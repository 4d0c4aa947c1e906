"""Reconstructions as other programs want them: an image folder, or arrays in an ``.npz`` file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from drrpack.core.errors import OptionError, OutputError, UnsafeError, WriteError
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.files.places import check_folder, reason
from drrpack.formats.files.publish import all_or_nothing, new_file, new_folder, replacing

FORMATS = ("png", "webp", "npz")
IMAGES_AT_ONCE = 1024

Tick = Callable[[int, int], None]  # images written, of how many


def export(dataset: DRRDataset, output: Path, kind: str, tick: Tick | None = None) -> None:
    """Write all images of ``dataset`` without loss: ``output/class/00000.png`` (or webp), or an
    npz file with ``images`` (N, H, W, 3) uint8, ``labels`` (N,) int64 and ``classes`` (C,).

    Nothing is there before all of it is.

    Raises:
        OptionError, OutputError: another format; a place where it can't be written.
        UnsafeError: a class whose name would lead out of the folder.
    """
    check_place(output, kind)
    with replacing(output):
        if kind == "npz":
            _export_arrays(dataset, output, tick)
        else:
            _export_folder(dataset, output, kind, tick)


def check_place(output: Path, kind: str) -> None:
    """Find out before anything is decoded whether ``output`` can be made.

    Raises:
        OptionError, OutputError: as `export`.
    """
    if kind not in FORMATS:
        raise OptionError(f"--format {kind}: say one of {', '.join(FORMATS)}")
    if kind == "npz" and output.suffix != ".npz":
        raise OptionError(f"{output}: end the name in .npz for --format npz")
    try:
        if _is_there(output):
            raise OutputError(f"{output}: exists already; give another name, or remove it first")
        check_folder(output, output.parent)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise WriteError(f"{output}: can't be written: {reason(error)}") from error


def _is_there(path: Path) -> bool:
    """Whether anything has this name; a link that leads nowhere has it, too."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _export_folder(dataset: DRRDataset, output: Path, kind: str, tick: Tick | None) -> None:
    for name in dataset.classes:
        _check_name(dataset, name)
    dataset.preload()  # all classes side by side, several times as fast as one after the other
    targets, done = np.asarray(dataset.targets), 0
    if not np.isin(targets, range(len(dataset.classes))).all():
        raise OptionError(
            f"{dataset.reader.path}: found targets without a class, expected labels from 0 to "
            f"{len(dataset.classes) - 1}: assign classes as well"
        )
    with all_or_nothing(output, output) as hidden, new_folder(hidden) as folder:
        for label, name in enumerate(dataset.classes):
            of_class = folder / os.fsdecode(name.encode())  # UTF-8 in every locale, as it is read
            of_class.mkdir()
            items = np.flatnonzero(targets == label)
            for start in range(0, len(items), IMAGES_AT_ONCE):
                pixels = dataset.pixels(items[start : start + IMAGES_AT_ONCE])
                for number, image in enumerate(pixels, start):
                    picture = Image.fromarray(image)
                    picture.save(of_class / f"{number:05}.{kind}", lossless=True)
                done += len(pixels)
                if tick is not None:
                    tick(done, len(targets))


def _export_arrays(dataset: DRRDataset, output: Path, tick: Tick | None) -> None:
    dataset.preload()
    parts = []
    for start in range(0, len(dataset), IMAGES_AT_ONCE):
        parts.append(dataset.pixels(range(start, min(len(dataset), start + IMAGES_AT_ONCE))))
        if tick is not None:
            tick(start + len(parts[-1]), len(dataset))
    images = np.concatenate([np.empty((0, *dataset.image_size, 3), np.uint8), *parts])
    labels = np.asarray(dataset.targets, dtype=np.int64)
    with all_or_nothing(output, output) as hidden, new_file(hidden) as descriptor:
        with open(descriptor, "wb", closefd=False) as file:
            np.savez(file, images=images, labels=labels, classes=np.array(dataset.classes))
        os.fsync(descriptor)


def _check_name(dataset: DRRDataset, name: str) -> None:
    path_like = name in (".", "..") or any(letter in "/\\:\0" or letter < " " for letter in name)
    if path_like:
        raise UnsafeError(
            f"{dataset.reader.path}: found a class called {name!r}, expected names without "
            "/ and the like; exporting it would write outside of its folder: leave it out, or "
            "take --format npz"
        )
