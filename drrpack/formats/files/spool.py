"""Data that are too many for the memory while a file is made: in a file that has no name."""

from __future__ import annotations

import os
import tempfile
import weakref
from functools import partial
from pathlib import Path

import numpy as np

from drrpack.core.codes import Codes
from drrpack.core.errors import ReadError, WriteError
from drrpack.formats.files.places import reason
from drrpack.formats.layout import Stored


class Spool:
    """Bytes and codes, which go to the disk of ``folder`` and are read again when asked for.

    The file has no name, so nothing of it is left, however the process ends. Without a folder it
    lies where the system keeps temporary files.

    Raises:
        WriteError: they can't be written there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._end = folder or Path(tempfile.gettempdir()), 0
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise self._refused(error) from error
        weakref.finalize(self, os.close, self._descriptor)

    def put(self, data: bytes) -> Stored:
        """The same data, read again whenever they are asked for."""
        place, rest = self._end, memoryview(data)
        try:
            while rest:
                count = os.pwrite(self._descriptor, rest, self._end)
                rest, self._end = rest[count:], self._end + count
        except OSError as error:
            raise self._refused(error) from error
        return Stored(len(data), partial(self._read, place, len(data)))

    def _refused(self, error: OSError) -> WriteError:
        return WriteError(f"{self._folder}: can't be written: {reason(error)}")

    def put_codes(self, codes: Codes) -> StoredCodes:
        """The same for codes."""
        return StoredCodes(self.put(codes.flat.tobytes()), codes.top_shape)

    def _read(self, place: int, size: int) -> bytes:
        parts, left = list[bytes](), size
        while left:
            parts.append(os.pread(self._descriptor, left, place))
            if not parts[-1]:
                raise ReadError(f"{self._folder}: found less than was written a moment ago")
            place, left = place + len(parts[-1]), left - len(parts[-1])
        return b"".join(parts)


class StoredCodes:
    """Codes in a spool."""

    def __init__(self, data: Stored, top_shape: tuple[int, int]) -> None:
        self._data, self._top_shape = data, top_shape

    def read(self) -> Codes:
        """The codes, from the disk."""
        rows, columns = self._top_shape
        flat = np.frombuffer(bytes(self._data), np.uint16).reshape(-1, 5 * rows * columns)
        return Codes.from_flat(flat, self._top_shape)
