"""Export reconstructions for other programs: an image folder or arrays in an ``.npz`` file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from drrpack.core.arrays import Pixels
from drrpack.core.device import choose_device
from drrpack.core.errors import OptionError, OutputError, UnsafeError, WriteError
from drrpack.core.progress import Step
from drrpack.formats.dataset import DRRDataset
from drrpack.formats.file_set import Files, open_files
from drrpack.formats.files.addresses import output_path
from drrpack.formats.files.places import check_folder, reason
from drrpack.formats.files.publish import replacing, whole_file, whole_folder
from drrpack.operations.preparing import Classes, Pathlike, chosen_classes, tell_of_left, tidy
from drrpack.operations.progress import Report, heard

IMAGES_AT_ONCE = 1024
PIXELS_AT_ONCE = 1 << 22  # and no more than that: 83 images of 224x224
CODES_BYTES = 16 * 2**20  # 105,000 images of 32x32: classes side by side are faster than alone
STAGE = "images"
OTHER_FILES = (".drr", ".h5", ".jpg", ".npy", ".parquet", ".png", ".tar", ".webp", ".zip")

Format = Literal["png", "webp", "npz"]


@dataclass(frozen=True)
class Exported:
    """The folder of pictures or the file of arrays that was written, and its numbers of images."""

    path: Path
    format: Format
    images: int
    classes: int


def export(
    memory: Files | DRRDataset,
    output: Pathlike,
    format: Format | None = None,
    *,
    classes: Classes = None,
    device: str = "auto",
    report: Report | None = None,
) -> Exported:
    """Write the reconstructions of a ``.drr`` file without loss, for other programs.

    The output appears only when it is complete.

    Args:
        memory: the path or the address of the file, a pattern such as ``"mem-*.drr"`` or a list of
            files, which are written together; or a `DRRDataset`, whose ``targets`` and ``classes``
            a program may have set.
        output: the folder to create, with ``output/class/00000.png`` in it; or a file ``NAME.npz``
            with ``images`` (N, H, W, 3) uint8, ``labels`` (N,) int64 and ``classes`` (C,).
        format: ``"png"``, ``"webp"`` or ``"npz"``; by default npz for a name in .npz, else png.
        classes: export only these classes: a list of names and numbers, or a text such as
            ``"cat,dog"``, ``"20"`` for the first 20, or ``"50:70"``.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        report: called with a `Step` as images are written.

    Raises:
        OptionError, OutputError: the format is unknown, or the output can't be written.
        UnsafeError: the name of a class would lead out of the folder.
        FormatError: the file can't be read.
    """
    report, target = heard(report), output_path(output)
    place = choose_device(device)
    kind: Format = format or _format_of(target)
    check_place(target, kind)
    tidy(target, report)
    with _opened(memory, classes, place, report) as dataset, replacing(target):
        tell_of_left(target, report)
        if kind == "npz":
            _export_arrays(dataset, target, report)
        else:
            _export_folder(dataset, target, kind, report)
        return Exported(target, kind, len(dataset), len(dataset.classes))


@contextmanager
def _opened(
    memory: Files | DRRDataset, classes: Classes, device: torch.device, report: Report
) -> Iterator[DRRDataset]:
    """The images to export; files that are opened for it are closed in the end."""
    if isinstance(memory, DRRDataset):
        if classes is not None:
            raise OptionError(
                "`classes` has no meaning for a dataset, which has chosen its classes",
                option="classes",
            )
        yield memory
        return
    with closing(open_files(memory)) as files:
        chosen = chosen_classes(files.classes, classes, report)
        yield DRRDataset(
            files, classes=chosen, device=device, cache_bytes=0, codes_bytes=CODES_BYTES
        )


def _format_of(output: Path) -> Format:
    """What a name alone asks for; raises OptionError for that of another kind of file."""
    ending = output.suffix.lower()
    if ending in OTHER_FILES:
        raise OptionError(
            f"{output}: no {output.suffix} file can be written; name a folder, or a file NAME.npz; "
            "a folder may have this name with `format='png'`",
            option="output",
        )
    return "npz" if ending == ".npz" else "png"


def check_place(output: Path, kind: str) -> None:
    """Check before anything is decoded that ``output`` can be made.

    Raises:
        OptionError, OutputError: as `export`.
    """
    if kind not in get_args(Format):
        raise OptionError(
            f"`format={kind!r}`: say one of {', '.join(get_args(Format))}", option="format"
        )
    if kind == "npz" and output.suffix.lower() != ".npz":
        raise OptionError(f"{output}: end the name in .npz for `format='npz'`", option="output")
    try:
        if _is_there(output):
            raise OutputError(f"{output}: exists already; give another name, or remove it first")
        check_folder(output, output.parent)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise WriteError(f"{output}: can't be written: {reason(error)}") from error


def _is_there(path: Path) -> bool:
    """Whether anything has this name; a broken link counts."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _export_folder(dataset: DRRDataset, output: Path, kind: str, report: Report) -> None:
    for name in dataset.classes:
        _check_name(dataset, name)
    targets = np.asarray(dataset.targets)
    if not np.isin(targets, range(len(dataset.classes))).all():
        raise OptionError(
            f"{dataset.files.name}: found targets without a class, expected labels from 0 to "
            f"{len(dataset.classes) - 1}: assign classes as well"
        )
    with whole_folder(output, output) as folder:
        # UTF-8 in every locale, as it is read
        folders = [folder / os.fsdecode(name.encode()) for name in dataset.classes]
        for of_class in folders:
            of_class.mkdir()
        written = [0] * len(folders)
        for start, pixels in _decoded(dataset, report):
            for label, image in zip(
                targets[start : start + len(pixels)].tolist(), pixels, strict=True
            ):
                path = folders[label] / f"{written[label]:05}.{kind}"
                Image.fromarray(image).save(path, lossless=True)
                written[label] += 1


def _export_arrays(dataset: DRRDataset, output: Path, report: Report) -> None:
    shape = (len(dataset), *dataset.image_size, 3)
    blocks = (pixels for _, pixels in _decoded(dataset, report))
    labels, classes = np.asarray(dataset.targets, dtype=np.int64), np.array(dataset.classes)
    with (
        whole_file(output, output) as (_, descriptor),
        open(descriptor, "wb", closefd=False) as file,
        ZipFile(file, "w") as archive,
    ):
        _put_array(archive, "images", np.dtype(np.uint8), shape, blocks)
        _put_array(archive, "labels", labels.dtype, labels.shape, [labels])
        _put_array(archive, "classes", classes.dtype, classes.shape, [classes])


def _put_array(
    archive: ZipFile, name: str, kind: np.dtype[Any], shape: tuple[int, ...],
    blocks: Iterable[NDArray[Any]],
) -> None:  # fmt: skip
    """One array of an .npz file, as numpy's `savez` writes it, but from blocks of its rows."""
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block).tobytes())


def _decoded(dataset: DRRDataset, report: Report) -> Iterator[tuple[int, Pixels]]:
    """All images in blocks, each with the number of its first item."""
    fitting = PIXELS_AT_ONCE // math.prod(dataset.image_size)
    for block in dataset.in_order(max(1, min(IMAGES_AT_ONCE, fitting))):
        yield block.start, dataset.pixels(block)
        report(Step(STAGE, block.stop, len(dataset)))


def _check_name(dataset: DRRDataset, name: str) -> None:
    path_like = name in (".", "..") or any(letter in "/\\:\0" or letter < " " for letter in name)
    if path_like:
        raise UnsafeError(
            f"{dataset.files.name}: found a class called {name!r}, expected names without "
            "/ and the like; exporting it would write outside of its folder: leave it out, or "
            "take `format='npz'`"
        )
