"""A ``.drr`` file at an address of any kind that fsspec knows, such as ``https://`` or ``s3://``."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import BinaryIO, cast

from drrpack.core.errors import FormatError, MissingError, OptionError, ReadError
from drrpack.formats.files.addresses import has_secrets, is_address, shown, without_secrets
from drrpack.formats.files.part import Part
from drrpack.formats.files.plainfile import PlainFile
from drrpack.formats.files.storedfile import StoredFile
from drrpack.formats.layout import AnyPath, damaged
from drrpack.formats.remote import part_cache, transfer
from drrpack.formats.remote.anysystem import AnySystemConnection
from drrpack.formats.remote.connection import Connection, Failure, Found
from drrpack.formats.remote.web import HttpConnection

# The first request brings so much of the file. It holds all that libhdf5 and the tables need of a
# file of a few hundred classes; libhdf5 would ask for a few bytes here and there.
HEAD_BYTES = 1 << 16


def open_stored(path: AnyPath) -> StoredFile:
    """The file at a path or an address; raises MissingError, ReadError and OptionError."""
    return RemoteFile(str(path)) if is_address(path) else PlainFile(path)


class RemoteFile(StoredFile):
    """A file at an address, of which only what is asked for is fetched.

    Parts that were found intact are kept in the user's cache (`part_cache`); those whose checksum
    can be forged only for this file, and only if the server reports a version. ``path`` and all
    messages show the address without its secrets. Its identity is the address, the size, and that
    version.

    Raises:
        OptionError: fsspec, or what it needs for this kind of address, is not installed.
        MissingError: there is nothing there. ReadError: it can't be reached.
    """

    def __init__(self, address: str) -> None:
        super().__init__(shown(address))
        self._address, self._cache = address, part_cache.of_user()
        self._connection = _connect(address)
        found = self._find()
        self.size, self._has_version = found.size, bool(found.version)
        self.identity = (address, found.size, found.version)
        self._blocks = {0: found.head}  # of HEAD_BYTES, by number; kept: libhdf5 comes back to them

    def read(self, offset: int, size: int) -> bytes:
        return self._fetched([(offset, size)])[0]

    def read_parts(self, parts: Sequence[Part]) -> list[list[bytes]]:
        """As `StoredFile.read_parts`; what is not intact was fetched twice.

        Raises:
            ReadError: a part is not intact, and the file has changed since it was opened.
        """
        found = [self._kept(part) for part in parts]
        missing = [n for n, pieces in enumerate(found) if pieces is None]
        wanted = [parts[n] for n in missing]
        for n, pieces in zip(missing, self._fetched_parts(wanted), strict=True):
            found[n] = pieces
        return [pieces for pieces in found if pieces is not None]

    def read_anew(self) -> None:
        self._cache = part_cache.PartCache(None)

    def _kept(self, part: Part) -> list[bytes] | None:
        """The pieces of a part from the cache, if they are there and intact."""
        if not self._may_keep(part):
            return None
        data = self._cache.get(part.key(self.identity), part.size)
        if data is None:
            return None
        file, pieces = io.BytesIO(data), []
        for _, size in part.ranges:
            pieces.append(file.read(size))
        return pieces if part.intact(pieces) else None

    def _may_keep(self, part: Part) -> bool:
        """Whether something tells this part from those of other files, and of this one later on."""
        return part.names_its_bytes or self._has_version

    def _fetched_parts(self, parts: Sequence[Part]) -> list[list[bytes]]:
        found = self._pieces(parts)
        if any(not part.intact(pieces) for part, pieces in zip(parts, found, strict=True)):
            found = self._pieces(parts)  # something on the way may have changed a bit
        pairs = list(zip(parts, found, strict=True))
        intact = [(part, pieces) for part, pieces in pairs if part.intact(pieces)]
        kept = [(part, pieces) for part, pieces in intact if self._may_keep(part)]
        self._cache.put({part.key(self.identity): b"".join(pieces) for part, pieces in kept})
        if len(intact) < len(parts):
            self._check_unchanged()
        return found

    def _pieces(self, parts: Sequence[Part]) -> list[list[bytes]]:
        data = iter(self._fetched([one for part in parts for one in part.ranges]))
        return [[next(data) for _ in part.ranges] for part in parts]

    def _fetched(self, wanted: Sequence[transfer.Range]) -> list[bytes]:
        for offset, size in wanted:
            if offset + size > self.size:
                found = f"{max(0, self.size - offset)} bytes from byte {offset}"
                raise damaged(self.path, found, f"{size}")
        held = {one: self._held(*one) for one in wanted}
        missing = [one for one in wanted if held[one] is None]
        try:
            fetched = transfer.fetch(self._connection, missing)
        except Failure as failure:
            raise self._error("can't be read", failure) from self._cause(failure)
        held.update(zip(missing, fetched, strict=True))
        return [held[one] or b"" for one in wanted]

    def _held(self, offset: int, size: int) -> bytes | None:
        """Bytes that lie in one block that is kept."""
        number, start = divmod(offset, HEAD_BYTES)
        block = self._blocks.get(number, b"")
        return block[start : start + size] if start + size <= len(block) else None

    def block(self, number: int) -> bytes:
        """HEAD_BYTES of the file, less at its end; they are kept from then on."""
        if number not in self._blocks:
            start = number * HEAD_BYTES
            self._blocks[number] = self.read(start, min(HEAD_BYTES, self.size - start))
        return self._blocks[number]

    def _find(self) -> Found:
        try:
            return transfer.tried(lambda: self._connection.find(HEAD_BYTES))
        except Failure as failure:
            raise self._error("can't be reached", failure) from self._cause(failure)

    def _check_unchanged(self) -> None:
        """Raise ReadError if the server has another file by now than the one that was opened."""
        found = self._find()
        if (self._address, found.size, found.version) != self.identity:
            raise ReadError(
                f"{self.path}: found another file than the one that was opened: it has changed on "
                "the server; open it again"
            )

    def _error(self, what: str, failure: Failure) -> FormatError:
        if failure.missing:
            return MissingError(f"{self.path}: there is no such file; check the address")
        words = without_secrets(str(failure), self._address)
        if ";" not in words:
            words += "; check the address, whether you may read it, and the connection"
        return ReadError(f"{self.path}: {what}: {words}")

    def _cause(self, failure: Failure) -> Failure | None:
        """What a traceback may show: other libraries' messages may hold the address's secrets."""
        return None if has_secrets(self._address) else failure

    def length(self) -> int:
        return self.size

    def stream(self) -> BinaryIO:
        return cast(BinaryIO, _Blocks(self))

    def close(self) -> None:
        pass


class _Blocks(io.RawIOBase):
    """A remote file as libhdf5 reads it, by blocks that are fetched whole."""

    def __init__(self, file: RemoteFile) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """As many bytes as lie in one block."""
        if self._at >= self._file.size:
            return 0
        number, start = divmod(self._at, HEAD_BYTES)
        data = self._file.block(number)[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _connect(address: str) -> Connection:
    try:
        import fsspec
        import fsspec.asyn
    except ImportError as error:
        raise OptionError(
            f'{shown(address)}: addresses need fsspec: pip install "drrpack[remote]"'
        ) from error
    _start_anew_after_fork()
    try:
        system, inside = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        words = without_secrets(str(error), address)
        raise OptionError(f"{shown(address)}: {words}") from (
            None if has_secrets(address) else error
        )
    except Exception as error:
        words = without_secrets(f"{type(error).__name__}: {error}", address)
        raise ReadError(f"{shown(address)}: can't be reached: {words}") from (
            None if has_secrets(address) else error
        )
    if _is_web(system):
        return HttpConnection(system, inside)
    return AnySystemConnection(system, inside)


def _is_web(system: object) -> bool:
    """Whether a file system of fsspec is that for ``https://``, whose class has no name for its
    protocols in earlier versions; it is not imported for other addresses, which need no aiohttp."""
    return any(each.__module__ == "fsspec.implementations.http" for each in type(system).__mro__)


_pid = os.getpid()


def _start_anew_after_fork() -> None:
    """The thread in which fsspec talks did not survive a fork."""
    import fsspec.asyn

    global _pid
    if _pid != os.getpid():
        fsspec.asyn.reset_lock()
        _pid = os.getpid()
