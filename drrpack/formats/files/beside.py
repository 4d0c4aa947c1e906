"""Names for temporary files and folders beside a file."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

PREFIX, SUFFIX = ".drr-", ".tmp"  # of what is not finished
EXCHANGE = ".swap"  # in the place of that suffix: a folder whose files may be the only ones
NUMBER = "[0-9a-f]" * 16  # a pattern of what stands between prefix and suffix
PARTS, CHECKPOINTS = ".parts", ".fit"  # endings of what the next run goes on from
_NAME_BYTES = 143  # eCryptFS has the shortest names; most file systems take 255 bytes


def beside(path: Path, ending: str) -> Path:
    """A hidden name beside ``path``: its own name and ``ending``, cut to the allowed length."""
    name = path.name
    if len(os.fsencode(f".{name}{ending}")) > _NAME_BYTES:
        name = sha256(os.fsencode(name)).hexdigest()[:32]
    return path.with_name(f".{name}{ending}")


class Left(NamedTuple):
    """The folders that an interrupted command leaves, from which the same command goes on.

    Their names are hidden, so that none counts as a class if the file lies in the source.
    """

    parts: Path  # codes and streams
    checkpoints: Path  # of a fit


def left_beside(output: Path) -> Left:
    """Those beside ``output``, or beside what it is a link to: the file that is written."""
    target = Path(os.path.realpath(output))
    return Left(beside(target, PARTS), beside(target, CHECKPOINTS))


def hidden_beside(target: Path) -> Path:
    """A new hidden name beside ``target``, for a file or folder that is not finished."""
    return target.with_name(f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")


def exchanges_in(folder: Path) -> list[Path]:
    """The hidden folders of exchanges of files, under way or left by a killed process."""
    return sorted(folder.glob(f"{PREFIX}{NUMBER}{EXCHANGE}"))
