"""A ``.drr`` file at an address of any kind that fsspec knows, such as ``https://`` or ``s3://``."""

from __future__ import annotations

import os
from typing import BinaryIO, cast

from drrpack.core.errors import MissingError, OptionError, ReadError
from drrpack.formats.files.addresses import is_address
from drrpack.formats.files.plainfile import PlainFile
from drrpack.formats.files.storedfile import StoredFile
from drrpack.formats.layout import AnyPath, damaged

HEAD_BYTES = 1 << 16  # fetched at once for libhdf5, which asks for a few bytes here and there
_GONE = (404, 410)  # the HTTP statuses of a file that isn't there


def open_stored(path: AnyPath) -> StoredFile:
    """The file at a path or an address; raises MissingError, ReadError and OptionError."""
    return RemoteFile(str(path)) if is_address(path) else PlainFile(path)


class RemoteFile(StoredFile):
    """A file that fsspec opens: each read fetches only its range of bytes.

    Its identity is the address, the size, and the version that the server reports.

    Raises:
        OptionError: fsspec, or what it needs for this kind of address, is not installed.
        MissingError: there is nothing there. ReadError: it can't be reached.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        try:
            import fsspec
            import fsspec.asyn
        except ImportError as error:
            raise OptionError(
                f"{path}: addresses need fsspec: pip install drrpack[remote]"
            ) from error
        if _first_pid != os.getpid():  # the thread in which fsspec talks did not survive a fork
            fsspec.asyn.reset_lock()
        try:
            self._system, self._inside = fsspec.core.url_to_fs(path)
            info = self._system.info(self._inside)
        except FileNotFoundError as error:
            raise _not_found(path, error) from error
        except (ImportError, ValueError) as error:
            raise OptionError(f"{path}: {error}") from error
        except Exception as error:  # each file system has exceptions of its own
            raise ReadError(f"{path}: can't be reached: {_words(error)}") from error
        if info.get("type") == "directory" or not isinstance(info.get("size"), int):
            raise ReadError(f"{path}: found a folder, or a server that does not tell the size")
        self.size = info["size"]
        version = next(
            (info[k] for k in ("ETag", "etag", "mtime", "LastModified") if k in info), ""
        )
        self.identity = (path, self.size, str(version))

    def read(self, offset: int, size: int) -> bytes:
        if size == 0:
            return b""
        try:
            data = bytes(self._system.cat_file(self._inside, start=offset, end=offset + size))
        except Exception as error:
            raise ReadError(f"{self.path}: can't be read: {_words(error)}") from error
        if len(data) > size:
            raise ReadError(
                f"{self.path}: asked for {size} bytes, and {len(data)} came: the server does not "
                "support range requests; download the file and open that"
            )
        if len(data) < size:
            raise damaged(self.path, f"{len(data)} bytes from byte {offset}", f"{size}")
        return data

    def length(self) -> int:
        return self.size

    def stream(self) -> BinaryIO:
        options = {"block_size": HEAD_BYTES, "cache_type": "bytes"}
        return cast(BinaryIO, self._system.open(self._inside, "rb", **options))

    def close(self) -> None:
        pass


_first_pid = os.getpid()


def _not_found(path: str, error: FileNotFoundError) -> MissingError | ReadError:
    """The real cause of an error, because over HTTP fsspec reports every error as "not found"."""
    why = error.__cause__
    status = getattr(why, "status", None)
    if isinstance(status, int) and status not in _GONE:
        words = f"{status} {getattr(why, 'message', '')}".strip()
        return ReadError(
            f"{path}: the server answers with status {words}; check the address and whether you "
            "may read it, or try again later"
        )
    from_network = isinstance(why, OSError) or type(why).__module__.startswith("aiohttp")
    of_the_address = isinstance(why, (FileNotFoundError, ValueError)) or status in _GONE
    if from_network and not of_the_address:
        return ReadError(f"{path}: can't be reached: {why}")
    return MissingError(f"{path}: there is no such file; check the address")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
