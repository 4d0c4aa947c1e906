"""Recognise a folder of images by the names and sizes of its files, without reading pictures.

A folder beside a file or in the working folder may have the name of the file's source but other
content. Comparing listings is fast; the digests of the pictures are still compared afterwards.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from drrpack.core.errors import SourceError
from drrpack.formats.sources.labelling import Labelling
from drrpack.formats.sources.registry import kind_of
from drrpack.formats.sources.shards import pattern_names
from drrpack.formats.sources.splits import counted, shown


def listings(root: Path, labelling: Labelling) -> dict[str, str]:
    """The sha256 of the listing of each split, in hex: the same wherever the source lies.

    It is taken over ``drrpack-listing-1`` and a zero byte, then for each file the length of its
    path as 8 bytes little-endian, its path, and its size as 8 bytes little-endian. Files, paths and
    their order are those of `Source.digest`, with files that are no pictures. Empty where the
    folder is not that of a source.
    """
    try:
        return {split: _digest(files) for split, files in kind_of(root).files(root, labelling)}
    except (OSError, SourceError):
        return {}


def _digest(files: Iterable[tuple[bytes, Path]]) -> str:
    sha = hashlib.sha256(b"drrpack-listing-1\0")
    for name, path in files:
        sha.update(counted(name) + path.stat().st_size.to_bytes(8, "little"))
    return sha.hexdigest()


def called(folder: Path, name: str) -> list[Path]:
    """The folders and files in ``folder`` with this name, or with the names it is a pattern of.

    Names are compared and never joined to a path: whatever ``name`` is, only what lies there is
    found.
    """
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return []
    wanted = unicodedata.normalize("NFC", name)
    found = [folder / e for e in entries if unicodedata.normalize("NFC", shown(e)) == wanted]
    if not found and set(names := pattern_names(name)) <= set(entries) and names:
        return [folder / name]
    return [path for path in found if path.is_dir() or path.is_file()]
