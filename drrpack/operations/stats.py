"""Account for the bytes of ``.drr`` files: the work of ``drrpack stats``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from drrpack.formats.account import Stats, account, together
from drrpack.formats.container import Reader
from drrpack.formats.file_set import files_of
from drrpack.formats.files.shard_names import shard_set, shards_of
from drrpack.formats.layout import AnyPath


@overload  # a text is a path, though it is a sequence of texts as well
def stats(memory: AnyPath) -> Stats: ...  # type: ignore[overload-overlap]


@overload
def stats(memory: Sequence[AnyPath]) -> list[Stats]: ...


def stats(memory: AnyPath | Sequence[AnyPath]) -> Stats | list[Stats]:
    """Sizes of all parts, bits per code and PSNR of the ``.drr`` file at a path or an address.

    Of a list, in which patterns such as ``"mem-*.drr"`` may stand, those of each file.

    Raises:
        FormatError: a file is missing or damaged, see `drrpack.core.errors`.
    """
    if isinstance(memory, str | os.PathLike):
        with Reader(memory) as reader:
            return account(reader)
    return [stats(path) for path in files_of(memory)]


def stats_of_shards(output: Path) -> Stats:
    """The figures of all files that a memory called ``output`` was divided into, together."""
    paths = shards_of(output)
    return together(shard_set(output, len(paths)).pattern, [stats(path) for path in paths])
