"""Find the members of a tar and read them where they lie; nothing is ever extracted.

A tar may come from anywhere. Only regular members are read, by position, and their names are never
used as paths. Headers are read through a file that neither goes back nor reads much at once, so a
damaged or hostile header can make the reader neither loop for ever nor fill the memory.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from drrpack.core.errors import SourceError
from drrpack.formats.sources.brightness import NotReadable
from drrpack.formats.sources.splits import shown

HEADER_BYTES = 1 << 20  # at once; a header with a long name takes a few hundred
MAX_PICTURE_BYTES = 1 << 30
MAX_LABEL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a tar: its name, where its bytes lie, and whether it is a regular file."""

    name: str
    offset: int
    size: int
    regular: bool


class _Headers(io.FileIO):
    """A tar as `tarfile` may see it: forwards, in small pieces."""

    furthest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= HEADER_BYTES:
            raise tarfile.ReadError(f"a header that takes {size} bytes")
        found = super().read(size) or b""
        self.furthest = max(self.furthest, self.tell())
        return found

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_SET and position < self.furthest - tarfile.BLOCKSIZE:
            raise tarfile.ReadError("a header that leads back")
        return super().seek(position, whence)


def members(path: Path) -> Iterator[Member]:
    """All members but folders, in their order; one is in memory at a time.

    Raises:
        SourceError: this is no uncompressed tar, it ends too early or is damaged.
    """
    try:
        with _Headers(path) as file, tarfile.open(fileobj=cast(io.BytesIO, file), mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # or all stay in memory
                if not info.isdir():
                    regular = info.isreg() and not info.issparse()
                    yield Member(info.name, info.offset_data, info.size, regular)
            _check_end(path, tar.offset)
    except (OSError, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise SourceError(
            f"{shown(path)}: can't be read as a tar: {error}; expected an uncompressed tar that is "
            "whole: fetch it again, or undo its compression"
        ) from error


def _check_end(path: Path, offset: int) -> None:
    """Raise ReadError where `tarfile` stopped at a damaged header, and not at the end."""
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(tarfile.BLOCKSIZE)
    if block.strip(b"\0") or 0 < len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"found a damaged header at byte {offset}")


def read_member(path: Path, offset: int, size: int, most: int = MAX_PICTURE_BYTES) -> bytes:
    """The bytes of a member; raises NotReadable where they are not there, or more than ``most``."""
    if size > most:
        raise NotReadable(f"has {size} bytes, expected {most} at most")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise NotReadable(f"can't be opened: {error.strerror or error}") from error
    if len(content) != size:
        raise NotReadable(f"has {len(content)} of {size} bytes, the tar is cut off")
    return content
