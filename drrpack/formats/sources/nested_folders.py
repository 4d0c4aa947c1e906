"""List the pictures of folders in folders, where the user says which folder is the class."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from drrpack.core.errors import SourceError
from drrpack.formats.sources.class_folders import (
    ClassFiles,
    class_folders,
    class_name,
    looks_picture,
    looks_text,
    visible,
)
from drrpack.formats.sources.labelling import ClassesFrom
from drrpack.formats.sources.splits import refuse_twins, shown

MAX_DEPTH = 64  # of folders in folders: no data set has as many, and links may form a circle


def list_nested(root: Path, classes_from: ClassesFrom) -> tuple[ClassFiles, ...]:
    """The classes below ``root``, sorted by name.

    With ``"top"`` a class is a folder in ``root``, with all that lies below it. With ``"parent"``
    a class is a folder that holds pictures, wherever it lies; folders of one name are one class.
    Raises SourceError where a class is empty, or pictures lie outside of all classes.
    """
    found = _by_top(root) if classes_from == "top" else _by_parent(root)
    refuse_twins(tuple(one.name for one in found), shown(root))
    return tuple(sorted(found, key=lambda one: one.name))


def _by_top(root: Path) -> list[ClassFiles]:
    classes = []
    for folder in class_folders(root):
        files = [file for _, files in _walk(folder, ()) for file in files]
        if not files:
            raise SourceError(
                f"{shown(folder)}: found no pictures in this class or in the folders below it; "
                "expected at least one: remove the folder, or put its pictures there"
            )
        classes.append(ClassFiles(_composed(folder), folder, _sorted(files)))
    return classes


def _by_parent(root: Path) -> list[ClassFiles]:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for top in class_folders(root):
        for folder, files in _walk(top, ()):
            if not all(map(looks_text, files)):
                by_name[_composed(folder)] += files
    if not by_name:
        raise SourceError(
            f"{shown(root)}: found no folder that holds pictures; expected one for each class"
        )
    return [ClassFiles(name, root, _sorted(files)) for name, files in by_name.items()]


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder from here downwards, with its pictures.

    In a folder that has folders in it only files with a picture's ending count. Elsewhere every
    file is listed, as in a class that is not nested.
    """
    real = os.path.realpath(folder)
    if real in above or len(above) >= MAX_DEPTH:
        raise SourceError(
            f"{shown(folder)}: found a link to a folder that it lies in, or more than {MAX_DEPTH} "
            "folders in one another; expected neither: remove the link"
        )
    entries = visible(folder)
    inner = [entry for entry in entries if os.path.isdir(entry)]
    files = [entry for entry in entries if entry not in set(inner)]
    yield folder, [file for file in files if looks_picture(file)] if inner else files
    for entry in inner:
        yield from _walk(entry, (*above, real))


def _composed(folder: Path) -> str:
    return unicodedata.normalize("NFC", class_name(folder))


def _sorted(files: list[Path]) -> tuple[Path, ...]:
    return tuple(sorted(files, key=os.fsencode))
