"""What an append has made, and how the next one knows of it if the process was killed then."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from drrpack.core.errors import WriteError
from drrpack.formats.container import Reader
from drrpack.formats.files.beside import Left, hidden_beside
from drrpack.formats.sources.source import Source
from drrpack.operations.encoding.kept import InFolder

_WHAT = "written"  # what the record is kept as, beside codes and streams


@dataclass(frozen=True)
class Appended:
    """The file that was written, and how large it would be with each entropy model.

    Attributes:
        kept_bytes: with the old entropy model. The smaller file was written.
        tuned_bytes: with the best of others, such as the old one tuned, and all images coded again;
            None if none was tried.
        tuned: whether the best of others is the old one tuned.
        entropy_model: the kind of the model that the file has now.
    """

    path: Path
    kept_bytes: int
    tuned_bytes: int | None
    tuned: bool
    entropy_model: str


def record(left: Left, source: Source, made: Appended, file: Reader) -> None:
    """Leave a record that ``file``, which takes its place next, has the images of ``source``.

    It lies in each of the folders ``left``, so a killed process leaves it as long as one of these.
    The file is written without it, too.
    """
    text = json.dumps({**asdict(made), "path": None})
    for folder in left:
        with suppress(WriteError):  # a full disk, or no such folder
            InFolder(folder).put(_WHAT, 0, _key(file, source), {"outcome": np.array(text)})


def recorded(left: Left, source: Source, file: Reader, path: Path) -> Appended | None:
    """What an append of ``source`` has made that was killed after it had written ``file``, and
    before it had removed the folders ``left``; None if there was none."""
    for folder in left:
        found = InFolder(folder).get(_WHAT, 0, _key(file, source))
        if found is not None:
            return Appended(**{**json.loads(str(found["outcome"])), "path": path})
    return None


def _key(file: Reader, source: Source) -> str:
    return f"{file.fingerprint} {source.digest()}"


def remove_all(left: Left) -> None:
    """Remove the folders, each with its record at once: it gets the name of a leftover first."""
    for folder in left:
        hidden = hidden_beside(folder)
        with suppress(OSError):  # it is not there
            os.replace(folder, hidden)
        shutil.rmtree(hidden, ignore_errors=True)
